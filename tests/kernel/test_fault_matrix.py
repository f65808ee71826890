# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every walk, broken in every way: the answer says so, and nothing else is lost."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

import allocdump
from allocdump.kernel.mm.vmalloc import vm_areas
from allocdump.kernel.walk import STRUCTURES

from ..dumpdata import core, exclude, open_core
from .walks import FAULTS, ROWS, vmap_lists

SYNTHETIC = {"the list of kcore ranges", "the path of a file"}
"""See test_disguised.py, since no bundled dump has CONFIG_PROC_KCORE, and test_file_pages.py."""


def structures() -> list[str]:
    for module in pkgutil.walk_packages(allocdump.__path__, "allocdump."):
        if module.name.startswith(("allocdump.kernel.", "allocdump.graph.")):
            importlib.import_module(module.name)
    return [structure.name for structure in STRUCTURES]


def test_every_walk_has_a_row() -> None:
    assert Counter(structures()) == Counter({*ROWS, *SYNTHETIC})


BOUNDED = {
    "for_each_set_bit", "for_each_online_node", "for_each_possible_cpu",  # masks
    "super_block_for_each_mount",  # only the first one
}  # fmt: skip
"""What of drgn's helpers that iterate is used: the others break off, or never end."""


STEPS = {
    "list_entries", "tree_entries", "idr_entries", "xarray_entries", "maple_entries",
    "list_links", "Chains",
}  # fmt: skip
"""Ways to step that need a declaration."""


def test_nothing_else_is_walked() -> None:
    """drgn's helpers are not used around walk(), nor ways to step without a declaration."""
    for path in (Path(allocdump.__path__[0])).rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("drgn.")
            for alias in node.names
        }
        assert {name for name in imported if "for_each" in name} <= BOUNDED, path
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if called & STEPS and path.name not in ("walk.py", "chains.py", "maple.py"):
            assert "structure" in called, path


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_all_faults(name: str) -> None:
    assert list(ROWS[name].faults) == list(FAULTS)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (name, fault)
        for name, row in ROWS.items()
        for fault in FAULTS
        if not isinstance(row.faults[fault], str)
    ],
)
def test_faults(name: str, fault: str) -> None:
    row = ROWS[name]
    before, problems = row.read(open_core(core(row.folder)).prog)
    assert not problems
    prog = allocdump.open(core(row.folder), debug_info="btf").prog
    break_it = row.faults[fault]
    assert not isinstance(break_it, str)
    gone = break_it(prog)
    found, problems = row.read(prog)
    assert problems, "nobody would know"
    assert all(str(problem) for problem in problems)
    lost = set(before) - set(found)
    if isinstance(gone, int):
        assert len(lost) <= gone
    else:
        assert lost <= set(gone)


@pytest.mark.parametrize(("rank", "share"), [(1, 0.8), (2, 0.9), (3, 0.9)])
def test_a_page_of_vmalloc_areas(rank: int, share: float) -> None:
    """The list leads to those between the missing ones no more; the tree does, to most.

    The page that has most of them has the roots of all trees, too.
    """
    prog = allocdump.open(core("7.2-quiet"), debug_info="btf").prog
    areas = [area for areas in vmap_lists(prog) for area in areas]
    page, missing = Counter(area.value_() >> 12 for area in areas).most_common()[rank]
    exclude(prog, page << 12)
    found = vm_areas(prog)
    assert [str(p).split(":")[0] for p in found.problems] == [
        "the tree of vmalloc areas is damaged"
    ]
    assert len(found) >= share * (len(areas) - missing)


def test_a_node_of_vmalloc_areas_costs_itself() -> None:
    """As in the dump that makedumpfile made with too much taken out."""
    found = vm_areas(open_core(core("7.2-quiet", "vmcore.d31")).prog)
    assert len(found) > 30
    assert len(found.problems) == 1
