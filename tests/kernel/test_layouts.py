# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layouts: each variant on a real dump that has it, and on synthetic types where none has."""

from __future__ import annotations

import re

import numpy as np
import pytest
from drgn import Program

from allocdump.errors import DamagedError
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.layouts import LAYOUTS, Layout, PageTypes, UnknownLayoutError
from allocdump.kernel.mm.page_types import PageKind, PageTypeReader

from .. import layout_table
from ..dumpdata import TESTDATA, core, open_core
from ..fakekernel import FakeKernel

ON_DUMPS = [
    (layout, variant)
    for layout in LAYOUTS
    for variant in layout
    if variant.value.dump and (TESTDATA / variant.value.dump).is_dir()
]


@pytest.mark.parametrize(
    ("layout", "variant"), ON_DUMPS, ids=[f"{layout.__name__}.{v.name}" for layout, v in ON_DUMPS]
)
def test_the_dump_that_is_named_has_the_variant(layout: type[Layout], variant: Layout) -> None:
    assert open_core(core(variant.value.dump)).kernel.layouts[layout] is variant


def test_all_layouts_are_in_the_table() -> None:
    assert set(LAYOUTS) == set(Layout.__subclasses__())


def test_every_variant_says_what_it_is() -> None:
    for layout in LAYOUTS:
        assert layout.structure()
        for variant in layout:
            assert variant.value.text
            assert re.fullmatch(r'([0-9a-f]{12} \(".+"\))?', variant.value.commit)


def page_types(prefix: str, **values: int) -> Kernel:
    fake = FakeKernel()
    fake.enumerators("pagetype", **{prefix + name: value for name, value in values.items()})
    return Kernel(fake.prog)


@pytest.mark.parametrize(
    ("kernel", "variant", "slab", "buddy"),
    [
        (page_types("PGTY_", buddy=0xF0, slab=0xF5), PageTypes.TOP_BYTE, 0xF5FFFFFF, 0xF0000000),
        # Linux 6.11: PAGE_TYPE_BASE 0x80000000; 6.10: 0xf0000000. A type's bit is cleared.
        (
            page_types("PG_", buddy=0x40000000, slab=0x02000000),
            PageTypes.HIGH_BITS,
            0xFFFFFFFF & ~0x02000000,
            0xFFFFFFFF & ~0x40000000,
        ),
        (
            page_types("PG_", buddy=0x80, slab=0x1000),
            PageTypes.LOW_BITS,
            0xFFFFFFFF & ~0x1000,
            0xFFFFFFFF & ~0x80,
        ),
    ],
    ids=["6.12", "6.11", "6.10"],
)
def test_page_types(kernel: Kernel, variant: PageTypes, slab: int, buddy: int) -> None:
    assert kernel.layouts[PageTypes] is variant
    # A page without a type has a mapping count there: -1 if it is not mapped, or more.
    words = np.array([slab, buddy, 0xFFFFFFFF, 0, 3], np.uint32)
    kinds = PageTypeReader(kernel).kinds(words)
    assert kinds.tolist() == [
        PageKind.SLAB,
        PageKind.FREE,
        PageKind.IN_USE,
        PageKind.IN_USE,
        PageKind.IN_USE,
    ]


def test_page_types_of_tomorrow() -> None:
    """Slabs by another name are not taken for pages of no type without a word."""
    reader = PageTypeReader(page_types("PGTY_", buddy=0xF0, slab=0xF5, tomorrow=0xF9))
    assert reader.unknown_in(np.array([0xF0000000, 0xF5000000, 3], np.uint32)) == []
    assert reader.unknown_in(np.array([0xF9000000], np.uint32)) == ["PGTY_tomorrow"]


def test_an_unknown_layout_is_one_sentence() -> None:
    kernel = Kernel(FakeKernel().prog)
    with pytest.raises(UnknownLayoutError, match=r"^Types of pages .* does not know$"):
        PageTypeReader(kernel)


def test_a_kernel_of_an_unknown_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted wrongly: the commands that read memory end, the report does not."""
    import allocdump

    dump = allocdump.open(core("7.3-tiny"))
    dump.kernel.layouts._found.pop(PageTypes, None)
    monkeypatch.setattr(PageTypes, "detect", classmethod(_unknown))
    with pytest.raises(DamagedError, match="Types of pages"):
        dump.attribution()
    assert dump.report().sites.bytes.any()


def _unknown(cls: type[PageTypes], prog: Program) -> None:
    raise UnknownLayoutError(f"{cls.structure()} is laid out in a new way")


@pytest.mark.parametrize("name", layout_table.TABLES)
def test_the_tables_in_the_docs_are_of_today(name: str) -> None:
    """``python -m tests.layout_table`` writes them."""
    page = (layout_table.DOCS / name).read_text()
    assert layout_table.with_table(name, page) == page
