# SPDX-License-Identifier: LGPL-2.1-or-later
"""Diagnosis of a dump: its parts, and the commands that work on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ..kernel.bugs import Bug
from ..source.core import Core
from ..source.vmcoreinfo import VmcoreInfo


class Works(StrEnum):
    """Answers to whether a command works."""

    YES = "works"
    IN_PART = "works in part"
    NO = "cannot"


@dataclass(frozen=True)
class CommandState:
    """A command, and what comes of it."""

    command: str
    works: Works
    exit_code: int
    why: tuple[str, ...] = ()
    """Sentences on what is missing or in doubt."""
    remedy: str = ""
    """Way to make it work; empty if the sentences say it, or there is none."""


@dataclass(frozen=True)
class LayoutState:
    """A structure of the kernel, and how it is laid out."""

    structure: str
    variant: str
    """In words; empty if it is none that is known."""
    since: str
    """Mainline release that the variant came with; empty if that is not known."""


@dataclass(frozen=True)
class Diagnosis:
    """A dump, and the commands that work on it."""

    core: Core
    vmcoreinfo: VmcoreInfo
    version: str
    machine: str
    """Name of the architecture, as uname has it; empty if nothing tells."""
    page_bytes: int
    """0 if nothing tells."""
    kallsyms: str
    """Empty if the kernel's own table of symbols is there; else what is wrong."""
    btf: str
    """Empty if the kernel's own types are there; else what is wrong."""
    types: str
    """``btf``, ``dwarf``, or empty if there are none."""
    profiling: str
    """State of profiling, in words; empty if nothing tells."""
    damage: Sequence[str] = ()
    """Sentences on damage to the dump as a whole."""
    layouts: Sequence[LayoutState] = ()
    bugs: Sequence[Bug] = ()
    commands: Sequence[CommandState] = field(default_factory=list)

    @property
    def release(self) -> str:
        """As ``uname -r`` has it; empty if nothing tells."""
        return self.vmcoreinfo.text("OSRELEASE")
