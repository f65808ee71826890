# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines that look deeper: complete, for a shell."""

from __future__ import annotations

import glob
import shlex

from ..kernel.tags.sites import OriginKind
from .evidence import Evidence

_FEW = ("--list", "--top", "10")


def command(case: Evidence, name: str, *options: str) -> str:
    """``allocdump NAME CORE OPTIONS``"""
    # A program that somebody else opened has its path, but no arguments.
    opening = case.machine.arguments or shlex.quote(case.machine.core)
    return " ".join(["allocdump", name, opening, *map(shlex.quote, options)])


def more(case: Evidence) -> list[str]:
    """The same page with more rows: tasks and cgroups have no command of their own."""
    return [command(case, "triage", "--top", "30")]


def of_site(case: Evidence, row: int) -> list[str]:
    """Commands about one site."""
    place = glob.escape(case.place(row))
    if row >= len(case.sites):
        origin, lists = case.names.name(row).origin, ["pages"]
        if origin in (OriginKind.CACHE, OriginKind.PERCPU):
            lists = ["objects"]
        elif origin == OriginKind.STACK and case.stacks is not None:
            cache = case.stacks.use.cache[case.stacks.use.site == row]
            lists = ["objects"] * bool((cache >= 0).any()) + ["pages"] * bool((cache < 0).any())
        return [command(case, name, "--filter", place, *_FEW) for name in lists]
    found = case.footprint
    out = [command(case, "audit", "--all", "--filter", place)]
    if found is None:
        return out
    name, contents = "objects", ["--hexdump", "64"]
    if found.pages[row] >= found.slab[row] + found.percpu[row]:
        name, contents = "pages", []
    out.append(command(case, name, "--filter", place, *_FEW, *contents))
    if case.wrappers is not None and case.wrappers.marks[row]:
        out.append(command(case, name, "--filter", place, "--group-by", "holder"))
    return out


def leaks_of(case: Evidence, row: int) -> str:
    """Commands about memory that a site has lost."""
    return command(case, "leaks", "--filter", glob.escape(case.place(row)), *_FEW)


def leaks_of_module(case: Evidence, module: str) -> str:
    """Commands about memory that the sites of a module have lost."""
    return command(case, "leaks", "--filter", "module=" + glob.escape(module))


def retained_of(case: Evidence, row: int) -> str:
    """Commands about the holders of a site's memory."""
    return command(case, "retained", "--filter", glob.escape(case.place(row)))


def of_module(case: Evidence, module: str) -> list[str]:
    """Commands about one module."""
    pattern = "module=" + glob.escape(module)
    if not len(case.sites):
        return [command(case, "pages", "--filter", pattern)]
    return [
        command(case, "report", "--filter", pattern),
        command(case, "pages", "--filter", pattern),
        command(case, "objects", "--filter", pattern),
    ]
