# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names that readers do without: kernels that have them, and those that should."""

from __future__ import annotations

from pathlib import Path

import pytest
from drgn import Program

from allocdump.kernel.expected_names import EXPECTED, Expected, has_name, missing_names
from allocdump.session import Session
from allocdump.source import program

from ..dumpdata import CORES, STOCK_CORES, core, name, open_core
from ..fakekernel import FakeKernel
from ..renamed.names import Name, renamed

DUMPS = [path for path in (*CORES, *STOCK_CORES) if path.parent.name != "tiny-noprofiling"]


@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_bundled_dumps_have_all(path: Path) -> None:
    assert missing_names(open_core(path).prog) == []


def test_each_is_expected_of_some_bundled_dump() -> None:
    progs = [open_core(path).prog for path in DUMPS]
    never = [
        one
        for expected in EXPECTED
        for alternatives in expected.names
        for one in alternatives.split(" | ")
        if not any(expected.feature(prog) and has_name(prog, one) for prog in progs)
    ]
    assert never == []


def opened_without(renamed_name: Name) -> Session:
    with renamed(renamed_name):
        dump = Session(program.open_dump(str(core("7.3-tiny"))))
        assert dump.warnings is not None
        return dump


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (Name("enumerator", "memory_cgrp_id"), "no enumerator memory_cgrp_id, which"),
        (Name("symbol", "taint_flags"), "no symbol taint_flags, which"),
    ],
)
def test_another_name_is_a_warning(missing: Name, sentence: str) -> None:
    dump = opened_without(missing)
    assert any(sentence in warning for warning in dump.warnings)
    assert any(sentence in warning for warning in dump.report().warnings)


def kernel() -> Program:
    fake = FakeKernel()
    fake.struct("page", lru=fake.u64, flags=fake.u64)
    return fake.prog


def test_one_of_several_names_is_enough() -> None:
    either = Expected("it is not read", ("member struct page.list | member struct page.lru",))
    assert list(either.missing(kernel())) == []
    neither = Expected("it is not read", ("member struct page.list | member struct page.node",))
    assert list(neither.missing(kernel())) == ["member struct page.list"]


def test_kernels_without_the_feature_need_no_name() -> None:
    other = Expected("it is not read", ("type struct zone",), lambda prog: False)
    assert list(other.missing(kernel())) == []


def test_kinds_of_names() -> None:
    prog = kernel()
    assert has_name(prog, "type struct page")
    assert not has_name(prog, "type struct zone")
    assert not has_name(prog, "enumerator PG_lru")
    with pytest.raises(ValueError, match="no kind of name"):
        has_name(prog, "struct page")


def test_caches_without_reclaim() -> None:
    """With CONFIG_SLUB_TINY, there is no such flag, nor caches of its own for such memory."""
    (reclaim,) = (e for e in EXPECTED if "_SLAB_RECLAIM_ACCOUNT" in e.names[0])
    for normal, reclaimable, missing in ((0, 0, []), (0, 1, [reclaim.names[0]])):
        fake = FakeKernel()
        fake.enumerators("kmalloc_cache_type", KMALLOC_NORMAL=normal, KMALLOC_RECLAIM=reclaimable)
        fake.enumerators("_slab_flag_bits", _SLAB_KMALLOC=3)
        assert list(reclaim.missing(fake.prog)) == missing


def test_texts_of_taints() -> None:
    """Older kernels have letters alone."""
    (texts,) = (e for e in EXPECTED if e.names[0].endswith(".desc"))
    for others, missing in (([], []), (["desc"], []), (["about"], [texts.names[0]])):
        fake = FakeKernel()
        fake.struct("taint_flag", c_true=fake.u64, **dict.fromkeys(others, fake.u64))
        assert list(texts.missing(fake.prog)) == missing
