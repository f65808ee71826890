# SPDX-License-Identifier: LGPL-2.1-or-later
"""One task ate all memory in a known way: the first suspect is it, in words told before."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from allocdump.view.sentence import text

from ..dumpdata import FOLDERS, MADE, open_core

SCENARIOS = Path(__file__).parents[2] / "scripts/lab/scenarios"
CULPRITS = [f for f in FOLDERS if (SCENARIOS / f"{MADE[f]['scenario']}.toml").exists()]


def words(folder: Path) -> list[str]:
    described = tomllib.loads((SCENARIOS / f"{MADE[folder]['scenario']}.toml").read_text())
    return [str(word) for word in described.get("verdict", [])]


@pytest.mark.parametrize("folder", [f for f in CULPRITS if words(f)], ids=lambda f: f.name)
def test_the_first_suspect(folder: Path) -> None:
    page = open_core(folder / "vmcore").triage()
    first = page.suspects[0]
    assert (first.cause, first.confidence.words) == (True, "very likely")
    told = [text(first.title), *map(text, first.evidence)]
    for word in words(folder):
        assert any(word in sentence for sentence in told), word
    # Nothing else is as sure.
    assert all(not s.cause or s.confidence < first.confidence for s in page.suspects[1:])
