# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attribution on real dumps, against what the test modules recorded and what the kernel counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from drgn import Program
from drgn.helpers.linux.slab import slab_object_info

import allocdump
from allocdump.analysis.audit import Cause
from allocdump.analysis.totals import object_totals, page_totals
from allocdump.analysis.usage import Node
from allocdump.arrays import Int
from allocdump.cli import cli
from allocdump.errors import DamagedError
from allocdump.kernel.machine.vmstat import VmStat
from allocdump.kernel.mm import slab
from allocdump.kernel.mm.page_types import PageKind
from allocdump.kernel.mm.sections import MemorySection
from allocdump.kernel.mm.slab import Cache
from allocdump.problems import Code, Problem
from allocdump.session.session import Session

from ..dumpdata import (
    CORES_WITH_TRUTH,
    core,
    exclude,
    name,
    open_core,
    overwrite,
    page_size,
    recorded,
    run,
)

WHOLE = [c for c in CORES_WITH_TRUTH if c.suffix != ".d31"]
whole_dumps = pytest.mark.parametrize("path", WHOLE, ids=name)
DAMAGED = core("7.2-quiet", "vmcore.d31")


def column(dump: Session, field: str) -> Int:
    values: Int = getattr(dump.audit(), field)
    return values


@whole_dumps
def test_references_account_for_the_counters(path: Path) -> None:
    """The bar is 99.9% of counted bytes; here every site agrees to the byte, but for one that
    the kernel counts bytes for that nobody holds."""
    audit = open_core(path).audit()
    phantom = np.isin(audit.cause.astype(str), (Cause.NO_CALLS, Cause.MIGRATED))
    assert phantom.sum() <= 1
    assert np.abs(audit.difference[~phantom]).sum() <= 0.001 * audit.counter.sum()
    sites = open_core(path).report().sites
    differing = np.flatnonzero(audit.difference)
    assert all(audit.cause[i] and audit.cause[i] != "unexplained" for i in differing)
    of_tests = np.isin(
        sites.module.astype(str), ["labmod", "leaker", "leaked", "labtruth", "reach", "charged"]
    )
    assert of_tests.sum() >= 3
    assert (audit.difference[of_tests] == 0).all()


@whole_dumps
def test_calls_agree_too(path: Path) -> None:
    """But for kvmalloc and the like, a reference is an allocation."""
    dump = open_core(path)
    sites, audit = dump.report().sites, dump.audit()
    counted = sites.evidence == 0
    same = audit.calls[counted] == sites.calls[counted].astype(np.int64)
    assert same.mean() > 0.99


@whole_dumps
def test_whois_names_the_site_of_everything_recorded(path: Path) -> None:
    """Every tenth of the many, all of the few; freed ones are free, or somebody else's."""
    dump = open_core(path)
    sites = dump.origins
    seen: Counter[tuple[str, str]] = Counter()
    checked: Counter[str] = Counter()
    for kind, address, _size, line, state, pfn, module in recorded(path):
        seen[kind, state] += 1
        if seen[kind, state] > 20 and seen[kind, state] % 10:
            continue
        location = dump.whois(f"{address:#x}")
        found = location.layers
        if kind == "percpu" and location.alternative:
            # Pointers into the first chunk are numbers of the kernel image, too.
            found = [location.alternative, *found]
        if state == "freed":
            inner = found[0]
            if inner.site is None:
                assert "free" in (inner.detail.get("state"), *inner.what.split())
            else:
                # Somebody else's by now; but nobody else has the module's own cache.
                assert kind != "cache"
                same = (sites.module[inner.site], sites.line[inner.site]) == (module, line)
                assert not same or kind in ("kmalloc", "kmalloc_account", "page", "percpu")
            checked["freed"] += 1
            continue
        checked[kind] += 1
        if kind == "percpu":
            layer = next(x for x in found if x.what == "per-CPU object")
            assert layer.site is not None
            if layer.site >= sites.tagged:
                assert "first chunks" in layer.evidence
                continue
        else:
            layer = next(x for x in found if x.site is not None)
        assert sites.module[layer.site] == module or line == 0
        assert line in (0, sites.line[layer.site])
        assert layer.start is not None
        assert layer.size is not None
        assert layer.start <= address < layer.start + layer.size or kind in ("percpu", "vmalloc")
        if pfn >= 0:
            assert dump.whois(f"pfn:{pfn}").layers[-1].site is not None
    assert sum(checked.values()) > 20
    assert checked["freed"] > 5 or not any(state == "freed" for _, state in seen)


RECORDED = [path for path in WHOLE if any(kind == "compound" for kind, *_ in recorded(path))]


@pytest.mark.parametrize("path", RECORDED, ids=name)
def test_recorded_sizes_fit(path: Path) -> None:
    """Up to two pages, kmalloc() takes an object of a slab."""
    dump, page = open_core(path), page_size(path)
    checked = 0
    for kind, address, size, _, state, _, _ in recorded(path):
        if state != "freed" and kind in ("compound", "plain", "large"):
            layers = dump.whois(f"{address:#x}").layers
            checked += 1
            if kind == "large" and size <= 2 * page:
                rounded = 1 << (size - 1).bit_length()
                assert (layers[0].start, layers[0].size) == (address, rounded)
                continue
            layer = layers[-1]
            pages = 1 << (-(-size // page) - 1).bit_length()
            assert (layer.start, layer.size) == (address, pages * page)
            assert ("order inferred" in layer.detail) == (kind == "plain")
    assert checked >= 5


@whole_dumps
def test_pages_and_objects_sum_to_the_counters(path: Path) -> None:
    """Batches for listing are another way through the same memory than the audit."""
    dump = open_core(path)
    origins, sites = dump.origins, dump.report().sites
    pages = page_totals((b.take(b.site >= 0) for b in dump.pages()), len(origins))
    reader = dump.objects()
    objects = object_totals((b.take(b.site >= 0) for b in reader), len(reader.caches))
    held = np.zeros(len(origins), np.int64)
    held[pages.site] += pages.pages * page_size(path)
    of_slab = objects.cache >= 0
    np.add.at(held, objects.site[of_slab], objects.bytes[of_slab])
    percpu = column(dump, "percpu")
    assert (held[: len(sites)] + percpu == column(dump, "memory")).all()
    assert (pages.orders.sum(axis=1) == pages.calls).all()


@pytest.mark.parametrize("path", CORES_WITH_TRUTH, ids=name)
def test_usage_accounts_for_every_page(path: Path) -> None:
    dump = open_core(path)
    root, page = dump.usage(), page_size(path)
    stat = VmStat(dump.kernel)

    def check(node: Node) -> None:
        if node.children:
            assert sum(c.bytes for c in node.children) == node.bytes
        assert node.bytes >= 0
        for child in node.children:
            check(child)

    check(root)
    assert root.bytes == stat.present() * page
    if path.suffix == ".d31":
        return
    by_name = {c.name: c for c in root.children}
    free = {c.name: c for c in by_name["free"].children}
    assert free["buddy allocator"].bytes == free["buddy allocator"].counter
    if "per-CPU lists" in free:
        assert free["per-CPU lists"].bytes == free["per-CPU lists"].counter
    marks_large_kmalloc = dump.attribution().kinds[PageKind.LARGE_KMALLOC].any()
    compared = 0
    for node in root.children:
        if node.counter is None or (node.name == "slab" and not marks_large_kmalloc):
            continue
        compared += 1
        assert abs(node.bytes - node.counter) <= max(0.02 * node.counter, 64 * page), node.name
    assert compared >= 5
    for cls, uncounted in (
        ("anonymous memory", "(mapped by no task)"),
        ("kernel stacks", "(of no task)"),
    ):
        counted = sum(c.bytes for c in by_name[cls].children if c.name != uncounted)
        assert counted == by_name[cls].counter, cls


def test_the_profilers_cost_is_a_class() -> None:
    def cost(folder: str) -> dict[str, int]:
        root = open_core(core(folder)).usage()
        node = next(n for n in root.children if n.name == "allocation profiler")
        return {c.name: c.bytes for c in node.children}

    plain, compressed = cost("7.3-tiny"), cost("7.3-compressed")
    assert plain["page extensions"] == 65536 * 8
    assert "page extensions" not in compressed
    assert plain["code tags of the kernel"] == 1194 * 40
    assert plain["counters of the kernel's sites"] == 1194 * 16 * 64


def test_slab_objects_against_slabinfo() -> None:
    """Active objects, as /proc/slabinfo had them before the crash, of the module's own cache."""
    dump = open_core(core("7.2-quiet"))
    found = dump.attribution()
    info = {
        line.split()[0]: [int(n) for n in line.split()[1:4]]
        for line in (core("7.2-quiet").parent / "slabinfo").read_text().splitlines()[2:]
    }
    names = [c.name for c in found.caches]
    i = names.index("labmod_cache")
    active, total, size = info["labmod_cache"]
    assert (found.slab.capacity[i], found.caches[i].size) == (total, size)
    assert found.slab.tagged[i] <= active
    live = [r for r in recorded(core("7.2-quiet")) if r[0] == "cache" and r[4] == "live"]
    assert found.slab.tagged[i] == len(live)


def test_vmalloc_areas_against_vmallocinfo() -> None:
    dump = open_core(core("7.2-quiet"))
    areas = {use.area.start: use for use in dump.vmalloc_areas()}
    address = next(a for kind, a, *_ in recorded(core("7.2-quiet")) if kind == "vmalloc")
    area = areas[address]
    assert area.area.size == (1 << 20) + 4096
    assert dump.report().sites.function[area.site] == "labmod_vmalloc"
    lines = (core("7.2-quiet").parent / "vmallocinfo").read_text().splitlines()
    # Areas come and go while the machine goes on; most stay.
    sizes = Counter(int(line.split()[1]) for line in lines)
    ours = Counter(use.area.size for use in areas.values())
    assert sum((sizes & ours).values()) > 0.9 * len(lines)


PIECES = core("7.3-cgroups")
"""Its records are of single pages of vmalloc areas."""
IN_VMALLOC = [
    c for c in WHOLE if c != PIECES and any(kind == "vmalloc" for kind, *_ in recorded(c))
]


def test_there_are_vmalloc_areas_to_know() -> None:
    assert len(IN_VMALLOC) >= 7


@pytest.mark.parametrize("path", IN_VMALLOC, ids=name)
def test_whois_knows_the_vmalloc_area(path: Path) -> None:
    dump = open_core(path)
    areas = ((a, size) for kind, a, size, *_ in recorded(path) if kind == "vmalloc")
    address, size = next(areas)
    area, *_ = dump.whois(f"{address + 5000:#x}").layers
    assert (area.what, area.start) == ("vmalloc area", address)
    page = page_size(path)
    assert area.size == -(-size // page) * page + page  # with its guard page


def test_debug_kernels_mark_what_is_not_counted() -> None:
    found = open_core(core("7.3-debug")).attribution()
    # Columns at the end: references to no known tag, marked empty, none.
    assert found.kinds[:, -2].sum() > 0
    assert not found.strays


def test_a_damaged_dump_gives_what_is_left() -> None:
    """At least 90% of sites as in the whole dump of the same crash; the rest is counted."""
    whole, damaged = open_core(core("7.2-quiet")).audit(), open_core(DAMAGED).audit()
    assert (whole.memory == damaged.memory).mean() >= 0.9
    assert (damaged.memory <= whole.memory).all()
    assert all(cause for cause in damaged.cause[damaged.difference != 0])
    assert "unexplained" not in set(damaged.cause)
    problems = open_core(DAMAGED).attribution().problems
    assert any("makedumpfile up to 1.7.9" in str(p) for p in problems)
    assert open_core(DAMAGED).attribution().slab.unreadable.sum() > 0


SHOWN = {
    "pages": r"^ *\d\.\d\d MiB +mm/percpu\.c:512 +pcpu_mem_zalloc +[\d,]+ ",
    "objects": r"^ *300 KiB +labmod\.c:92 +labmod_cache +938 +300 KiB +0 B +labmod_cache +labmod$",
    "usage": r"^ 223 MiB  100\.0% +223 MiB +0 B  memory$",
    "audit": r"^1,\d+ of 1,\d+ sites agree to the byte; references account for (100|97\.\d+)% ",
    "whois": r"^  kernel image 0xffffffff.*\n      symbol init_task\+0x0$",
}
"""A line of each command that a damaged dump has, too."""


@pytest.mark.parametrize("command", SHOWN)
@pytest.mark.parametrize("path", [DAMAGED, core("6.12-debug"), core("7.3-compressed")], ids=name)
def test_commands_never_die(command: str, path: Path) -> None:
    args = ["init_task", "pfn:5", "0x0", f"{2**64 - 1:#x}"] if command == "whois" else []
    done = run(command, path, *args)
    assert done.returncode == 0, done.stderr
    complaints = done.stderr.splitlines()
    assert bool(complaints) == (path == DAMAGED)
    assert all(line.startswith("allocdump: warning: ") for line in complaints)
    assert re.search(SHOWN[command], done.stdout, re.MULTILINE)


def test_without_page_extensions_of_a_section() -> None:
    dump = allocdump.open(core("7.2-quiet"))
    attribution = open_core(core("7.2-quiet")).attribution()
    dump.report()
    section = next(s for s in _sections(dump) if s.page_ext)
    exclude(dump.prog, section.page_ext, 8 * section.pages)
    less = dump.attribution()
    tags = dump.origins.tagged
    assert less.pages.bytes[:tags].sum() < attribution.pages.bytes[:tags].sum()
    assert (less.objects.bytes == attribution.objects.bytes).all()
    assert any("pages that describe memory are not in the dump" in str(p) for p in less.problems)
    assert dump.usage().bytes == open_core(core("7.2-quiet")).usage().bytes


def test_without_struct_pages_of_a_section() -> None:
    dump = allocdump.open(core("7.2-quiet"))
    section = _sections(dump)[-1]
    exclude(dump.prog, section.memmap, 64 * section.pages)
    found = dump.attribution()
    assert found.unreadable_pages == section.pages
    names = {n.name for n in dump.usage().children}
    assert "struct page not in the dump" in names


def test_without_the_list_of_slab_caches() -> None:
    dump = allocdump.open(core("7.2-quiet"))
    first = dump.prog["slab_caches"].next.value_()
    exclude(dump.prog, first)
    found = dump.attribution()
    assert found.unknown_slabs > 0
    assert any("slab caches" in str(p) for p in found.problems)
    assert dump.usage().bytes > 0


def _sections(dump: Session) -> list[MemorySection]:
    from allocdump.kernel.mm.sections import sections

    return sections(dump.kernel)


def test_a_stray_reference_is_shown_and_decoded() -> None:
    """As on 6.12 when nothing else finds the tags of a module that is gone."""
    dump = allocdump.open(core("6.12-oom"))
    report = dump.report()
    gone = report.sites.unloaded
    assert gone.any()
    addresses = report.sites.address[gone].tolist()
    report.sites = report.sites.take(~gone)
    audit = dump.audit()
    assert set(audit.strays) == set(addresses)
    from allocdump.kernel.tags.codetag import describe_tag

    assert {describe_tag(dump.prog, a) for a in addresses} == {
        "leaked.c:25 [leaked] func:leaked_pages",
        "leaked.c:35 [leaked] func:leaked_objects",
    }
    assert describe_tag(dump.prog, dump.prog.symbol("init_task").address) == ""


def test_whois_json_and_standard_input() -> None:
    addresses = [r for r in recorded(core("7.2-quiet")) if r[0] == "kmalloc" and r[4] == "live"]
    text = f"{addresses[0][1]:#x}\npfn:1 nonsense\n"
    done = run("whois", core("7.2-quiet"), "--format", "json", input=text)
    assert done.returncode == 2
    assert "nonsense is not an address" in done.stderr
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["layers"][0]["what"] == "slab object"
    assert first["layers"][0]["site"]["module"] in ("labmod", "leaked")
    assert second["query"] == "pfn:1"


def test_whois_of_other_kinds_of_addresses() -> None:
    dump = open_core(core("7.2-quiet"))
    page = next(r for r in recorded(core("7.2-quiet")) if r[0] == "page" and r[4] == "live")
    section = _sections(dump)[0]
    struct_page = section.memmap + (page[5] - section.pfn) * 64
    by_struct = dump.whois(f"{struct_page:#x}").layers
    assert by_struct[0].what == "struct page"
    assert by_struct[-1].site == dump.whois(f"pfn:{page[5]}").layers[-1].site
    assert dump.whois(f"phys:{page[5] * 4096:#x}").layers[-1].site == by_struct[-1].site
    module = dump.prog["modules"].next.value_()
    within = next(x for x in dump.whois(f"{module:#x}").layers if x.what == "module memory")
    # struct module lies in the module's own data.
    assert within.detail["section"] == "data"
    image = dump.whois("init_task+8").layers[0]
    assert (image.what, image.detail["symbol"]) == ("kernel image", "init_task+0x8")
    assert dump.whois("0x1000").layers[0].what == "nothing"


def test_charged_memory_cgroup() -> None:
    dump = open_core(core("7.2-quiet"))
    charged = next(
        r for r in recorded(core("7.2-quiet")) if r[0] == "kmalloc_account" and r[4] == "live"
    )
    assert dump.whois(f"{charged[1]:#x}").layers[0].detail["memory cgroup"] == "/lab"


@pytest.mark.parametrize(
    ("args", "least"),
    [
        (["pages", "--list", "--filter", "labmod.c:*", "--top", "5"], 5),
        (["pages", "--node", "1"], 5),
        (["pages", "--order", "3", "--filter", "module=labmod"], 1),
        (["objects", "--cache", "labmod_cache"], 1),
        (["objects", "--list", "--filter", "labmod.c:*", "--top", "7"], 7),
        (["objects", "--group-by", "cache"], 50),
        (["objects", "--group-by", "vmalloc", "--filter", "labmod"], 1),
    ],
)
@pytest.mark.parametrize("format_", ["csv", "json", "table"])
def test_listings(args: list[str], least: int, format_: str) -> None:
    done = run(args[0], core("7.2-quiet"), *args[1:], "--format", format_)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [json.loads(line) for line in lines] if format_ == "json" else lines[1:]
    assert len(rows) >= least
    if "--top" in args:
        assert len(rows) == least


def test_pages_of_nodes_add_up() -> None:
    def pages(*args: str) -> Counter[tuple[str, int, str]]:
        done = run("pages", core("7.2-quiet"), "--format", "json", *args)
        rows = map(json.loads, done.stdout.splitlines())
        names = ("file", "line", "function", "name")
        return Counter({tuple(r[n] for n in names): r["pages"] for r in rows})

    assert pages("--node", "0") + pages("--node", "1") == pages()


def test_objects_can_be_dumped_and_decoded() -> None:
    args = ["--cache", "labmod_cache", "--list", "--top", "2", "--hexdump", "32"]
    done = run("objects", core("7.2-quiet"), *args, "--type", "struct list_head")
    assert done.returncode == 0
    assert done.stdout.count("(struct list_head){") == 2
    assert done.stdout.count("  ffff") == 4
    assert run("objects", core("7.2-quiet"), *args, "--type", "struct nothing").returncode == 2
    assert run("objects", core("7.2-quiet"), "--hexdump", "8").returncode == 2
    assert run("objects", core("7.2-quiet"), "--cache", "nothing").returncode == 2


def test_no_such_zone() -> None:
    done = run("pages", core("7.2-quiet"), "--node", "7")
    assert done.returncode == 2
    assert "node 1 DMA32" in done.stderr


def test_drgns_free_lists_agree() -> None:
    """An object without a reference is on a free list; on 6.12, which has no sheaves, all are."""
    dump = open_core(core("6.12-debug"))
    compared = 0
    for kind, address, *_ in recorded(core("6.12-debug")):
        if kind in ("cache", "kmalloc", "kmalloc_account"):
            state = dump.whois(f"{address:#x}").layers[0].detail.get("state")
            info = slab_object_info(dump.prog, address)
            assert info is not None
            assert state is None or info.allocated == (state == "allocated")
            compared += state is not None
            if compared >= 100:
                break
    assert compared == 100


@pytest.mark.parametrize("args", [["--group-by", "cache"], [], ["--list", "--top", "1"]])
def test_objects_says_what_its_readers_could_not_read(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = slab.slab_caches

    def damaged(prog: Program) -> tuple[list[Cache], list[Problem]]:
        caches, problems = found(prog)
        return caches, [*problems, Problem(Code.DAMAGED, "slab caches", many=True)]

    monkeypatch.setattr(slab, "slab_caches", damaged)
    done = CliRunner().invoke(cli, ["objects", str(core("7.3-tiny")), *args])
    assert done.exit_code == 0
    assert "allocdump: warning: slab caches are damaged.\n" in done.stderr


def test_objects_by_cache_says_what_is_not_in_the_dump() -> None:
    done = run("objects", core("7.2-quiet", "vmcore.d31"), "--group-by", "cache", "--top", "1")
    assert "pages that describe memory are not in the dump" in done.stderr


def test_holes_are_no_memory_where_the_map_is_unreadable() -> None:
    """The firmware's holes have reserved struct pages, too: 512 MiB of a machine of 419."""
    whole = open_core(core("7.2-quiet")).usage()
    dump = allocdump.open(core("7.2-quiet"))
    child = dump.prog["iomem_resource"].child.address_of_().value_()
    overwrite(dump.prog, child, (0xDEAD000000000100).to_bytes(8, "little"))
    found = dump.usage()
    assert any("iomem_resource" in str(p) for p in dump.attribution().problems)
    assert found.bytes == whole.bytes == whole.counter


@pytest.mark.parametrize("word", [0, 1 << 63, (1 << 64) - 1])
def test_without_any_section(word: int) -> None:
    """A damaged pointer to all of them: one sentence, and no bug of ours."""
    dump = allocdump.open(core("7.3-tiny"))
    overwrite(dump.prog, dump.prog.symbol("mem_section").address, word.to_bytes(8, "little"))
    with pytest.raises(DamagedError, match="what describes memory"):
        dump.usage()
    assert dump.triage().missing
