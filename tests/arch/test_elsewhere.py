# SPDX-License-Identifier: LGPL-2.1-or-later
"""No other module knows a processor: the size of pages comes from the dump."""

from __future__ import annotations

import re
import tokenize
from itertools import pairwise
from pathlib import Path

import allocdump

ROOT = Path(allocdump.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

FORMATS = {
    "source/core.py": "headers of files",
    "source/flattened.py": "headers of files",
    "source/image.py": "the smallest size of pages, of which images of memory consist",
    "kernel/maple.py": "the largest number that is not a pointer at a node",
    "kernel/mm/slab.py": "a bit of a slab's flags",
    "source/qmp.py": "a buffer for a socket",
    "kernel/walk.py": "the smallest node of an xarray, whatever the size of pages",
}
"""Where the number is of something else."""
SIZES = {"4096", "4095", "4_096", "0x1000", "0xfff"}
NAMES = re.compile(
    r"x86|vmemmap_base|page_offset_base|orc_|irq_stack|sme_me_mask|pgtable_l5|cpu_context|VA_BITS"
)


def tokens(path: Path) -> list[tokenize.TokenInfo]:
    with path.open("rb") as file:
        return [t for t in tokenize.tokenize(file.readline) if t.string.strip()]


def sizes(path: Path) -> list[str]:
    """Numbers that are the size of a page, or its logarithm."""
    found = tokens(path)
    return [
        f"{before.string} {number.string}"
        for before, number in pairwise(found)
        if number.type == tokenize.NUMBER
        and (
            number.string.lower() in SIZES
            or (number.string == "12" and before.string in {"<<", ">>"})
        )
    ]


def names(path: Path) -> list[str]:
    """Words of a processor in code and in short strings: long ones are texts."""
    kinds = (tokenize.NAME, tokenize.STRING)
    words = [t.string for t in tokens(path) if t.type in kinds and '"""' not in t.string]
    return [w for w in words if NAMES.search(w) and w not in ("x86_64", "X86_GLOBALS")]


def elsewhere() -> list[Path]:
    return [path for path in MODULES if path.parent.name != "arch"]


def test_no_size_of_pages_is_a_constant() -> None:
    found = {str(path.relative_to(ROOT)): sizes(path) for path in elsewhere()}
    assert {path: some for path, some in found.items() if some and path not in FORMATS} == {}
    assert {path for path in FORMATS if not found[path]} == set()


def test_no_name_of_a_processor() -> None:
    found = {str(path.relative_to(ROOT)): names(path) for path in elsewhere()}
    assert {path: some for path, some in found.items() if some} == {}


def test_the_search_finds_what_it_is_for() -> None:
    assert sizes(ROOT / "arch" / "x86_64.py") == []  # bits are in one number there
    assert "orc_lookup" in "".join(names(ROOT / "arch" / "x86_64.py"))
    assert sizes(ROOT / "kernel" / "walk.py")
