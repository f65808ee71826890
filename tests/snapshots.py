# SPDX-License-Identifier: LGPL-2.1-or-later
"""Output of commands at several widths of a terminal.

``python -m tests.snapshots`` runs them and writes their output into ``tests/snapshots/``.
"""

from __future__ import annotations

import shlex
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

from allocdump.analysis.growth import Watch, largest
from allocdump.commands import COMMANDS
from allocdump.view import watch
from allocdump.view.text import screen

from . import dumpdata

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "snapshots"
WIDTHS = (60, 80, 120, 200)

_CORE = "testdata/7.3-after/vmcore"
_BEFORE = "testdata/7.3-before/vmcore"
COMMAND_LINES = {
    "triage": f"triage {_CORE}",
    "report": f"report {_CORE} --top 20",
    "report-module": f"report {_CORE} --group-by module",
    "diff": f"diff {_BEFORE} {_CORE}",
    "usage": f"usage {_CORE}",
    "usage-by-node": f"usage {_CORE} --by node --depth 1",
    "usage-fragmentation": f"usage {_CORE} --fragmentation --order 4",
    "audit": f"audit {_CORE} --all --filter file=fs/*",
    "leaks": f"leaks {_CORE}",
    "leaks-list": f"leaks {_CORE} --list --top 5",
    "retained": f"retained {_CORE}",
    "retained-site": f"retained {_CORE} --filter fs/kernfs/dir.c:665",
    "paths": f"paths {_CORE} pfn:1000",
    "whois": f"whois {_CORE} pfn:1000 init_task",
    "whois-referrers": f"whois {_CORE} init_task --referrers --top 12",
    "objects": f"objects {_CORE} --top 20",
    "objects-list": f"objects {_CORE} --list --top 5 --hexdump 32",
    "objects-cache": f"objects {_CORE} --group-by cache --top 20",
    "objects-vmalloc": f"objects {_CORE} --group-by vmalloc --top 20",
    "pages": f"pages {_CORE} --top 20",
    "pages-list": f"pages {_CORE} --list --top 5",
    "doctor": f"doctor {_CORE}",
    "wrong": f"report {_CORE} --top none",
    "help": "--help",
    **{f"help-{command}": f"{command} --help" for command in COMMANDS},
}
"""What is run for each snapshot. The lines of ``tags`` are the kernel's own, as long as they
are; ``shell`` and ``watch`` are not of one answer, so that only the table of the latter is here."""


@dataclass(frozen=True)
class Snapshot:
    """A command at one width."""

    name: str
    width: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.{self.width}.txt"

    def taken(self) -> str:
        """The output now."""
        if self.name == "watch":
            return watched(self.width)
        return at_width(COMMAND_LINES[self.name], self.width)


SNAPSHOTS = [Snapshot(name, width) for name in (*COMMAND_LINES, "watch") for width in WIDTHS]


def at_width(line: str, width: int) -> str:
    """Both streams of a command, as on a terminal of that width without colours."""
    with chdir(ROOT), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        done = dumpdata.run(*shlex.split(line))
    return str(done.stderr + done.stdout)


def watched(width: int) -> str:
    """A round of watching: between the two dumps, which are of the same kernel."""
    with chdir(ROOT):
        before, after = dumpdata.open_core(_BEFORE), dumpdata.open_core(_CORE)
    growth = Watch(before.report().sites).round(after.report().sites, 17.0)
    document = watch.document(after.origin, growth, largest(growth, 10))
    return "".join(f"{line}\n" for line in screen(document, width))


def main() -> None:
    """Write all of them anew; those of no command are removed."""
    FOLDER.mkdir(exist_ok=True)
    for path in set(FOLDER.iterdir()) - {snapshot.path for snapshot in SNAPSHOTS}:
        path.unlink()
    for snapshot in SNAPSHOTS:
        snapshot.path.write_text(snapshot.taken())


if __name__ == "__main__":
    main()
