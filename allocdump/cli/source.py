# SPDX-License-Identifier: LGPL-2.1-or-later
"""The choice of what to open, from the words of a command line."""

from __future__ import annotations

import os
import shlex
from typing import Any

import click

from ..commands import COMMANDS
from ..source.core import is_kernel_image, looks_like_core
from ..text import printable

_HEAD = 64
_ONE = "Name one CORE (a vmcore), or --live for the running kernel, or --qemu SOCKET."


def choose_source(how: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """Arguments for :func:`allocdump.open`, from the parameters that a command has for them.

    Of two files, one is the kernel image, in either order: their contents tell which. With
    ``--live`` or ``--qemu``, the first of a command's other arguments looks like CORE.

    :param how: the values of :data:`allocdump.cli.options.OPENING`
    :param rest: a command's other parameters; those that were taken for CORE are put back
    :raises click.UsageError: if these words do not name exactly one thing to open
    """
    words = [word for word in (how["core"], how.get("second"), *rest.get("addresses", ())) if word]
    alive = how["live"] or how["qemu"] is not None
    # Beside CORE; alone, it is a mistake that opening it explains.
    images = [i for i in range(len(words[:2])) if is_kernel_image(words[i])][:1]
    vmlinux = [words.pop(i) for i in images if alive or len(words) > 1]
    core = words.pop(0) if words and not alive else None
    if (core is not None) + how["live"] + (how["qemu"] is not None) != 1:
        raise click.UsageError(_ONE)
    if "addresses" in rest:
        rest["addresses"] = tuple(words)
    elif words:
        raise click.UsageError(_ONE if core is None else _too_many(core, words[0]))
    if how["pause"] and how["qemu"] is None:
        raise click.UsageError("--pause goes with --qemu: nothing else can be paused.")
    opened = {name: how[name] for name in ("qemu", "pause", "debug_info")}
    return {"core": core, "vmlinux": (*how["vmlinux"], *vmlinux), **opened}


def _too_many(core: str, word: str) -> str:
    names = [printable(os.fsencode(path)) for path in (core, word)]
    if core in COMMANDS and not os.path.exists(core):
        return f"Options follow their command: allocdump {core} OPTIONS {shlex.quote(names[1])}"
    if not os.path.exists(word):
        return f"{names[1]!r} is neither an option nor a file that could stand beside the core."
    if all(map(_is_core, (core, word))):
        return f"Name one core; to compare two: allocdump diff {' '.join(map(shlex.quote, names))}"
    return f"Neither {names[0]} nor {names[1]} is a kernel image (vmlinux); name one CORE."


def _is_core(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return looks_like_core(path, file.read(_HEAD))
    except OSError:
        return False
