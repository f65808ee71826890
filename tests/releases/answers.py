# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a machine answers, and what it says along with it."""

from __future__ import annotations

from dataclasses import replace

from allocdump.analysis.usage import Node
from allocdump.errors import AllocdumpError
from allocdump.kernel.walk import is_damage
from allocdump.session import Session

from .facts import Release
from .machine import DIRECT, PAGE, VMALLOC, Machine

Answers = dict[str, object]


def answers(dump: Session) -> tuple[Answers, list[str]]:
    """Answers of each kind; None where there is none. Warnings, problems and errors."""
    said: list[str] = []
    found: Answers = {}
    for read in (_report, _pages, _objects, _charged, _usage, _whois):
        try:
            found[read.__name__] = read(dump, said)
        except Exception as e:
            if not (isinstance(e, AllocdumpError) or is_damage(e)):
                raise
            found[read.__name__] = None
            said.append(str(e))
    return found, said


def _report(dump: Session, said: list[str]) -> object:
    report = dump.report()
    said += report.warnings
    return [report.sites.bytes.tolist(), report.sites.calls.tolist(), report.sites.name(0)]


def _pages(dump: Session, said: list[str]) -> object:
    pages = dump.pages()
    found = [
        row
        for batch in pages
        for row in zip(batch.pfn.tolist(), batch.pages.tolist(), batch.site.tolist(), strict=True)
    ]
    said += map(str, pages.problems)
    return found


def _objects(dump: Session, said: list[str]) -> object:
    objects = dump.objects()
    found = [
        row
        for batch in objects
        for row in zip(
            batch.address.tolist(), batch.size.tolist(), batch.site.tolist(), strict=True
        )
    ]
    said += map(str, objects.problems)
    return found


def _charged(dump: Session, said: list[str]) -> object:
    batches = [*dump.pages(), *dump.objects()]
    cgroups = dump.pagemap.charges.cgroups
    said += map(str, dump.pagemap.problems())
    return sorted(cgroups.name(row) for batch in batches for row in batch.cgroup.tolist())


def _usage(dump: Session, said: list[str]) -> object:
    root = dump.usage()
    said += map(str, [*dump.attribution().problems, *dump.vmalloc_areas().problems])
    return _tree(root)


def _tree(node: Node) -> object:
    return [node.name, node.bytes, [_tree(child) for child in node.children]]


def _whois(dump: Session, said: list[str]) -> object:
    found = [dump.whois(address) for address in (DIRECT + 2 * PAGE + 8, VMALLOC + 16)]
    said += (str(problem) for one in found for problem in one.problems)
    return [str(one.layers) for one in found]


def renamed(release: Release, type_: str, member: str) -> Session:
    """The machine, whose reader finds another name in a member's place."""
    machine = Machine(release)
    facts = release.types[type_]
    other = {f"zq_{name}" if name == member else name: where for name, where in facts.items()}
    machine.facts.forget(replace(release, types=release.types | {type_: other}))
    return machine.open()


def silent(before: tuple[Answers, list[str]], after: tuple[Answers, list[str]]) -> list[str]:
    """Kinds of answers that are others without a new word."""
    if set(after[1]) - set(before[1]):
        return []
    return [kind for kind, answer in after[0].items() if answer != before[0][kind]]
