# SPDX-License-Identifier: LGPL-2.1-or-later
"""The helpers against what the kernel printed and what the test modules recorded."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import drgn
import pytest
from drgn import Architecture, FaultError, Object, Program
from drgn.helpers.linux.mm import pfn_to_page, virt_to_page
from drgn.helpers.linux.pid import find_task

import allocdump
from allocdump.drgn import helpers
from allocdump.drgn.helpers import (
    address_alloc_tag,
    alloc_tag,
    alloc_tag_counters,
    alloc_tag_str,
    arrays,
    find_alloc_tags,
    for_each_alloc_tag,
    mem_alloc_profiling_enabled,
    page_alloc_tag,
    percpu_alloc_tag,
    slab_object_alloc_tag,
    vmalloc_alloc_tag,
)

from ..dumpdata import CORES_WITH_TRUTH, core, name, open_core, page_size, place, recorded, truth

WHOLE = [c for c in CORES_WITH_TRUTH if c.suffix != ".d31"]
whole_dumps = pytest.mark.parametrize("path", WHOLE, ids=name)
QUIET, DAMAGED, TINY = core("7.2-quiet"), core("7.2-quiet", "vmcore.d31"), core("7.3-tiny")


def site(tag: Object | None) -> tuple[str, int] | None:
    """Module and line; None without a tag."""
    if not tag:
        return None
    module = tag.ct.modname
    return module.string_().decode() if module else "", tag.ct.lineno.value_()


@pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)
def test_all_tags_as_the_kernel_prints_them(path: Path) -> None:
    """The d31 twin has lost the IDR that the kernel keeps its tags in."""
    lines = []
    for tag in for_each_alloc_tag(open_core(path).prog):
        size, calls = alloc_tag_counters(tag)
        accurate = " accurate:no" if tag.ct.flags & 1 else ""
        lines.append(f"{size:12} {calls:8} {alloc_tag_str(tag)}{accurate} ")
    assert lines == truth(path).splitlines()[2:]


def test_negative_counters() -> None:
    """Freed elsewhere than counted: bytes are signed, whatever single CPUs say."""
    prog = open_core(TINY).prog
    tag = next(find_alloc_tags(prog, "function=labmod_kmalloc"))
    counters = prog.type("struct alloc_tag_counters")

    class Counters:
        """Two CPUs' copies."""

        def __getitem__(self, i: int) -> Object:
            return Object(prog, counters, {"bytes": 2**64 - 4096, "calls": 2**64 - 1})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alloc_tag, "per_cpu_ptr", lambda ptr, cpu: Counters())
        patch.setattr(alloc_tag, "possible_cpus", lambda prog: range(2))
        assert alloc_tag_counters(tag) == (-8192, 2**64 - 2)


def lookup(prog: Program, kind: str, address: int) -> Object | None:
    if kind == "percpu":
        return percpu_alloc_tag(prog, address)
    match kind:
        case "vmalloc":
            return vmalloc_alloc_tag(prog, address)
        case "cache" | "kmalloc" | "kmalloc_account":
            return slab_object_alloc_tag(prog, address)
        # A large one is an object of a slab where pages are large.
        case "page" | "compound" | "plain" | "split":
            return page_alloc_tag(virt_to_page(prog, address))
    return address_alloc_tag(prog, address)


def sample(path: Path) -> Iterator[tuple[str, int, int, int, str, int, str]]:
    """The first records of each line and state, and some of the others: of each dump other ones.

    Of per-CPU objects all, since few are outside of the first chunks.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    for row in recorded(path):
        kind, _, _, line, state, _, module = row
        like = (kind, line, state, module)
        seen[like] += 1
        if kind == "percpu" or seen[like] <= 50 or seen[like] % 7 == WHOLE.index(path) % 7:
            yield row


def check_recorded(path: Path, prog: Program) -> Counter[str]:
    checked: Counter[str] = Counter()
    for kind, address, _, line, state, pfn, module in sample(path):
        tag = lookup(prog, kind, address)
        if state == "freed":
            # Free, or somebody else's by now.
            assert not tag or tag.ct.lineno != line
        elif kind == "percpu" and not tag:
            found = open_core(path).whois(f"{address:#x}")
            # Pointers into the first chunk are numbers of the kernel image, too.
            layer = found.alternative or found.layers[0]
            assert "first chunks" in layer.evidence
        elif module == "leaked":
            # Unloaded. Only the line, if the strings are gone.
            assert tag is not None
            assert tag.ct.lineno == line
            assert alloc_tag_str(tag).startswith((f"?:{line} [?] func:?", f"leaked.c:{line}"))
        else:
            # Line 0: not ours, but somebody's.
            assert site(tag) == (module, line) or (line == 0 and tag)
            checked[kind] += 1
        if kind != "percpu" and state == "live":
            assert tag == address_alloc_tag(prog, address)
        if pfn >= 0 and state == "live":
            assert page_alloc_tag(pfn_to_page(prog, pfn))
    return checked


@whole_dumps
def test_everything_recorded(path: Path) -> None:
    checked = check_recorded(path, open_core(path).prog)
    modules = {row[-1] for row in recorded(path)}
    if "reach" in modules:
        assert {"kmalloc", "percpu", "vmalloc", "compound", "page"} <= set(checked)
    elif "labmod" in modules:
        assert checked["cache"] > 150
        assert checked["percpu"] > 40
        assert {"vmalloc", "compound", "plain", "large"} <= set(checked)
        assert checked["kmalloc"] >= 90


def test_everything_recorded_with_dwarf() -> None:
    prog = allocdump.open(TINY, vmlinux=[str(TINY.parent / "vmlinux")]).prog
    assert check_recorded(TINY, prog)["cache"] > 150


@whole_dumps
def test_pages_as_dump_finds_them(path: Path) -> None:
    dump = open_core(path)
    addresses = dump.report().sites.address
    checked = 0
    for batch in dump.pages():
        for i in range(0, len(batch.pfn), 19):
            tag = page_alloc_tag(pfn_to_page(dump.prog, batch.pfn[i]))
            of_tag = 0 <= batch.site[i] < len(addresses)
            assert tag.value_() == addresses[batch.site[i]] if of_tag else not tag
            checked += 1
    assert checked > 50


def test_only_first_pages_refer_to_a_tag() -> None:
    prog = open_core(QUIET).prog
    sizes = {}
    for kind, address, size, *_, state, _pfn, _ in recorded(QUIET):
        if state == "live" and size > 4096 and kind in ("compound", "plain"):
            page = virt_to_page(prog, address)
            assert page_alloc_tag(page)
            sizes[kind] = size
            same = page_alloc_tag(page + 1) == page_alloc_tag(page)
            assert same == (kind == "compound")
    assert set(sizes) == {"compound", "plain"}


def test_objects_from_any_address_in_them() -> None:
    prog = open_core(QUIET).prog
    address = next(a for kind, a, *_, s, _, m in recorded(QUIET) if kind == "cache" and s == "live")
    tag = slab_object_alloc_tag(prog, address)
    size = 300
    assert tag == slab_object_alloc_tag(prog, address + size // 2)
    pointer = Object(prog, "void *", address)
    assert tag == slab_object_alloc_tag(pointer)
    of_init = site(slab_object_alloc_tag(find_task(prog, 1).comm.address_of_()))
    assert of_init is not None
    assert of_init[0] == ""


def test_per_cpu_objects_from_any_pointer_into_them() -> None:
    dump = open_core(QUIET)
    inside, free = 0, 0
    for kind, pointer, size, line, state, _, module in recorded(QUIET):
        if kind == "percpu" and state == "live" and percpu_alloc_tag(dump.prog, pointer):
            assert site(percpu_alloc_tag(dump.prog, pointer + size - 1)) == (module, line)
            inside += 1
        elif kind == "percpu" and state == "freed":
            assert not percpu_alloc_tag(dump.prog, pointer)
            free += 1
    assert inside > 40
    assert free > 10


def test_neighbours_of_small_per_cpu_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects at bits 2 to 4 and from 5 on; no dump has such small ones in a chunk of theirs."""
    extensions = [SimpleNamespace(tag=SimpleNamespace(ct=i)) for i in range(8)]
    chunk = SimpleNamespace(
        prog_=SimpleNamespace(read=lambda bitmap, size: bytes([0b00100100])[:size]),
        obj_exts=SimpleNamespace(read_=lambda: extensions),
        bound_map=0,
    )
    monkeypatch.setattr(alloc_tag, "_tag_of_ref", lambda prog, ref: ref)
    monkeypatch.setattr(alloc_tag, "_no_tag", lambda prog: None)
    found = [alloc_tag._tag_in_chunk(cast(Object, chunk), bit) for bit in range(8)]
    assert found == [None, None, 2, 2, 2, 5, 5, 5]


def test_find() -> None:
    prog = open_core(QUIET).prog

    def found(pattern: str) -> list[str]:
        return [alloc_tag_str(tag) for tag in find_alloc_tags(prog, pattern)]

    everything = [alloc_tag_str(tag) for tag in for_each_alloc_tag(prog)]
    assert found("*") == everything
    assert found("labmod.c:73") == ["labmod.c:73 [labmod] func:labmod_kmalloc"]
    assert found("module=labmod") == [s for s in everything if "[labmod]" in s]
    assert found("file=mm/slub.c") == [s for s in everything if s.startswith("mm/slub.c:")]
    assert found("module=") == [s for s in everything if "[" not in s]
    assert found("nothing") == []


@pytest.mark.parametrize("folder", ["7.2-quiet", "7.3-compressed", "6.12-oom"])
def test_profiling_is_on(folder: str) -> None:
    assert mem_alloc_profiling_enabled(open_core(core(folder)).prog)


def test_profiling_is_off() -> None:
    """Objects have extensions, for their memory cgroups, but no references in them."""
    path = core("tiny-never")
    prog = open_core(path).prog
    assert not mem_alloc_profiling_enabled(prog)
    for kind, address, *_ in recorded(path):
        if kind != "percpu":
            assert not address_alloc_tag(prog, address)


GARBAGE = [0, 1, 2, 4095, 2**47, 2**63, 2**64 - 1, 2**64 - 8, 0xDEAD000000000100]
BETWEEN = [0xFFFF800000000000, 0xFFFFE00000000003, 0xFFFFC90000000001]
"""Addresses of the kernel's half at which x86-64 has nothing."""


@whole_dumps
def test_garbage_has_no_tag(path: Path) -> None:
    prog, page = open_core(path).prog, page_size(path)
    with_guard = [
        a + -(-size // page) * page
        for kind, a, size, *_ in recorded(path)
        if kind == "vmalloc" and size > page  # single pages have others of their area behind
    ]
    assert prog.platform
    between = BETWEEN if prog.platform.arch == Architecture.X86_64 else []
    for address in [*GARBAGE, *between, *with_guard]:
        for helper in (
            address_alloc_tag,
            percpu_alloc_tag,
            slab_object_alloc_tag,
            vmalloc_alloc_tag,
        ):
            tag = helper(prog, address)
            assert tag.type_.type_name() == "struct alloc_tag *"
            assert not tag


@whole_dumps
def test_a_pointer_to_no_page_faults(path: Path) -> None:
    prog = open_core(path).prog
    for address in (0, 8, 2**63, 2**64 - 64, 0xDEAD000000000100):
        with pytest.raises(FaultError):
            page_alloc_tag(Object(prog, "struct page *", address))
    if path.parent.name != "7.3-compressed":
        # Memory that there is, but no page. With compressed references, it would have flags.
        assert not page_alloc_tag(Object(prog, "struct page *", place(prog["init_mm"])))
    beyond = pfn_to_page(prog, 1 << 30)
    with pytest.raises(FaultError):
        page_alloc_tag(beyond)


def test_a_null_tag_faults() -> None:
    tag = Object(open_core(QUIET).prog, "struct alloc_tag *", 0)
    for helper in (alloc_tag_counters, alloc_tag_str):
        with pytest.raises(FaultError):
            helper(tag)


def test_damaged_references_fault_or_are_right() -> None:
    prog = open_core(DAMAGED).prog
    right = lost = 0
    for kind, address, _, line, state, _, module in recorded(DAMAGED):
        if state != "live" or module != "labmod" or not line or kind == "percpu":
            continue
        try:
            tag = lookup(prog, kind, address)
        except FaultError:
            lost += 1
        else:
            assert not tag or site(tag) == (module, line)
            right += bool(tag)
    assert right > 1000
    assert lost > 0


def test_the_default_program(monkeypatch: pytest.MonkeyPatch) -> None:
    prog = open_core(QUIET).prog
    drgn.set_default_prog(prog)
    try:
        assert next(for_each_alloc_tag()) == next(for_each_alloc_tag(prog))
        assert not address_alloc_tag(0)
        assert mem_alloc_profiling_enabled()
    finally:
        drgn.set_default_prog(None)


def test_as_drgns_own_helpers() -> None:
    """What drgn's documentation is made from."""
    assert set(helpers.__all__) < set(alloc_tag.__all__) | set(arrays.__all__)
    assert set(alloc_tag.__all__) <= set(helpers.__all__)
    for module in (alloc_tag, arrays):
        assert list(module.__all__) == sorted(module.__all__)
        for each in module.__all__:
            documented = inspect.getdoc(getattr(module, each))
            assert documented, each
            if inspect.isfunction(getattr(module, each)):
                assert ">>>" in documented
                parameters = list(inspect.signature(getattr(module, each)).parameters)
                assert all(f":param {p}:" in documented for p in parameters)
