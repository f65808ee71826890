# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every command fits into terminals of several widths."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocdump.view import text
from allocdump.view.model import Document
from allocdump.view.renderer import How

from .dumpdata import CORES, STOCK_CORES, core, name, run
from .snapshots import FOLDER, SNAPSHOTS, WIDTHS, Snapshot

ANY_KERNEL = ("triage",)
COMMANDS = (
    *ANY_KERNEL, "report", "report --group-by directory --exact", "usage --depth 4", "audit --all",
    "leaks", "leaks --list --top 50", "retained", "retained --filter *slub.c* --top 5",
    "objects --top 50", "objects --group-by cache", "objects --group-by vmalloc",
    "objects --list --top 50",
    "pages", "pages --list --top 50",
)  # fmt: skip


ODD = [
    core("7.2-quiet", "vmcore.d31"), core("6.12-oom"), core("7.2-oom-memcg"), core("tiny-never"),
]  # fmt: skip
"""A damaged dump, long names and large numbers, paths of cgroups, no profile."""


def ids(snapshot: Snapshot) -> str:
    return f"{snapshot.name}-{snapshot.width}"


@pytest.mark.xdist_group("7.3-after")
@pytest.mark.parametrize("snapshot", SNAPSHOTS, ids=ids)
def test_output_is_that_of_the_snapshot(snapshot: Snapshot) -> None:
    """If it is to differ: ``python -m tests.snapshots``, and look at the differences."""
    taken = snapshot.taken()
    assert taken == snapshot.path.read_text()
    assert max(map(len, taken.splitlines())) <= snapshot.width


def test_there_are_no_other_snapshots() -> None:
    assert set(FOLDER.iterdir()) == {snapshot.path for snapshot in SNAPSHOTS}


@pytest.mark.parametrize(
    ("core", "command"),
    [(core, command) for core in ODD for command in COMMANDS]
    + [(core, "triage") for core in CORES if core not in ODD]
    + [(core, command) for core in STOCK_CORES[:1] for command in ANY_KERNEL],
    ids=lambda value: name(value) if isinstance(value, Path) else value,
)
def test_no_line_is_longer_than_the_terminal(
    core: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents: list[tuple[Document, How]] = []

    def keep(document: Document, how: How) -> str:
        documents.append((document, how))
        return ""

    monkeypatch.setattr(text, "render", keep)
    words = command.split()
    done = run(words[0], core, *words[1:])
    assert bool(documents) == (done.returncode == 0)
    for document, how in documents:
        for width in WIDTHS:
            lines = text.lines(document, How(how.exact, width, hint=how.hint))
            # The path in a command stays whole; where the tests stand must not matter.
            shown = [line.replace(str(core.parents[2]) + "/", "") for line in lines]
            assert max(map(len, shown), default=0) <= width
