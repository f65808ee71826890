# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speed, as ratios: machines differ, and so do their moods.

Alternatives take turns with allocdump, and the best of several rounds counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
from drgn import FaultError, Object, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.mm import compound_order, for_each_page, page_to_pfn
from drgn.helpers.linux.percpu import per_cpu_ptr
from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_for_each_allocated_object

import allocdump
from allocdump.arrays import U64, Bool
from allocdump.graph.scan import runs_of
from allocdump.kernel.mm.pages import FrameReader
from allocdump.kernel.tags.codetag import read_tags
from allocdump.kernel.tags.counters import sum_counters
from allocdump.kernel.tags.references import SiteIndex
from allocdump.session import Session
from allocdump.source.memory import U8, Holes, Memory

TESTDATA = Path(__file__).parent.parent / "testdata"


def best(rounds: int, *jobs: Callable[[], object]) -> list[float]:
    """Best wall-clock seconds of each job; they take turns."""
    seconds = [float("inf")] * len(jobs)
    for _ in range(rounds):
        for i, job in enumerate(jobs):
            start = time.perf_counter()
            job()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return seconds


def counters(core: Path, rounds: int) -> None:
    """Summing all counters: allocdump against a loop with drgn's per_cpu_ptr()."""
    dump = allocdump.open(core)
    prog = dump.prog
    start, stop = (prog.symbol(f"__{s}_alloc_tags").address for s in ("start", "stop"))
    pointers = read_tags(Memory(prog), start, stop).raw["counters"]
    count = len(pointers)
    array = prog.array_type(prog.type("struct alloc_tag"), count)
    cpus = list(for_each_possible_cpu(prog))

    def with_drgn() -> list[tuple[int, int]]:
        sums = []
        for tag in Object(prog, array, address=start):
            size = calls = 0
            for cpu in cpus:
                counter = per_cpu_ptr(tag.counters, cpu).read_()
                size += counter.bytes.value_()
                calls += counter.calls.value_()
            sums.append((size % 2**64, calls % 2**64))
        return sums

    def with_allocdump() -> list[tuple[int, int]]:
        size, calls, _ = sum_counters(dump.kernel, pointers)
        return list(zip(size.tolist(), calls.tolist(), strict=True))

    assert with_drgn() == with_allocdump()
    ours, loop = best(rounds, with_allocdump, with_drgn)
    print(
        f"counters of {count:,} sites on {len(cpus)} possible CPUs ({core.parent.name}):"
        f" {ours * 1000:.1f} ms, per_cpu_ptr loop {loop * 1000:.0f} ms:"
        f" {loop / ours:.0f} times faster (bar: 50)"
    )


def whole_report(core: Path, rounds: int) -> None:
    """The whole command against importing drgn and numpy and opening the dump."""
    script = "import sys, drgn, numpy; drgn.Program().set_core_dump(sys.argv[1])"
    commands = (
        [sys.executable, "-m", "allocdump", "report", str(core)],
        [sys.executable, "-c", script, str(core)],
    )
    report, opening = best(
        rounds, *(lambda c=c: subprocess.run(c, check=True, capture_output=True) for c in commands)
    )
    print(
        f"report of {core.parent.name}: {report * 1000:.0f} ms, import and open alone"
        f" {opening * 1000:.0f} ms: {report / opening:.2f} times as long (bar: 3)"
    )


def shell(core: Path, rounds: int) -> None:
    """From start to prompt, against drgn with the dump's vmlinux."""
    vmlinux = core.parent / "vmlinux"
    commands = (
        [sys.executable, "-m", "allocdump", "shell", str(core)],
        [sys.executable, "-m", "drgn", "-c", str(core), "-s", str(vmlinux)],
    )
    ours, drgns = best(rounds, *(lambda c=c: _to_prompt(c) for c in commands))
    print(
        f"shell on {core.parent.name}: prompt after {ours * 1000:.0f} ms, drgn with its vmlinux"
        f" {drgns * 1000:.0f} ms: {ours / drgns:.2f} times as long (bar: 1.5)"
    )


def _to_prompt(command: list[str]) -> None:
    """Start an interactive session on a terminal, and end it at its prompt."""
    terminal, inside = os.openpty()
    with tempfile.TemporaryDirectory() as state:
        # Python 3.13's own prompt is drawn with more than ">>> ".
        environment = os.environ | {"XDG_STATE_HOME": state, "PYTHON_BASIC_REPL": "1"}
        process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=environment
        )
        os.close(inside)
        seen = b""
        while not seen.endswith(b">>> "):
            seen += os.read(terminal, 1 << 16)
        process.kill()
        process.wait()
    os.close(terminal)


def attribution(core: Path) -> None:
    """Attributing all memory, against Python loops with drgn's helpers and against reading."""
    dump = allocdump.open(core)
    prog = dump.prog
    dump.report()
    start = time.perf_counter()
    found = dump.attribution()
    ours = time.perf_counter() - start
    pages, objects = int(found.kinds.sum()), int(found.objects.calls.sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"attribution of {core.parent.name}: {pages:,} pages and {objects:,} objects in"
        f" {ours:.2f} s, peak memory {peak:.0f} MiB (bar: 500)"
    )
    ratio = _against_reading(core)
    print(f"  {ratio:.2f} times as long as only reading the same bytes (bar: 1.5)")
    loop = _page_loop(prog, pages)
    reader, start = _frames(dump), time.perf_counter()
    for _ in reader:
        pass
    frames = time.perf_counter() - start
    print(
        f"  pages alone: {frames:.2f} s, a loop with for_each_page {loop:.0f} s"
        f" (from a sample): {loop / frames:.0f} times faster (bar: 100)"
    )
    done, loop = _object_loop(prog)
    start = time.perf_counter()
    seen = sum(len(batch.site) for batch in dump.objects())
    every = time.perf_counter() - start
    print(
        f"  {seen:,} objects, pages included: {every:.2f} s, slab_cache_for_each_allocated_object"
        f" {loop:.1f} s for {done:,}: {loop / done / (every / seen):.0f} times faster (bar: 50)"
    )


def _frames(dump: Session) -> FrameReader:
    addresses = dump.report().sites.address
    return FrameReader(dump.kernel, SiteIndex(addresses))


def _against_reading(core: Path) -> float:
    """Time of attribution by that of reading what it read, in runs of 2 MiB."""
    dump = allocdump.open(core)
    dump.report()
    ranges: list[tuple[int, int]] = []
    original = Memory._read

    def recording(self: Memory, address: int, size: int, holes: Holes) -> tuple[U8, Bool]:
        ranges.append((address, size))
        return original(self, address, size, holes)

    few = Memory._few_words

    def recording_words(self: Memory, addresses: list[int]) -> tuple[U64, Bool]:
        ranges.extend((address, 8) for address in addresses)
        return few(self, addresses)

    with patch.multiple(Memory, _read=recording, _few_words=recording_words):
        dump.attribution()
    runs: list[list[int]] = []
    for address, size in sorted(ranges):
        if runs and address <= runs[-1][1] and address + size - runs[-1][0] <= 2 << 20:
            runs[-1][1] = max(runs[-1][1], address + size)
        else:
            runs.append([address, address + size])

    def reading() -> None:
        prog = allocdump.open(core).prog
        for address, end in runs:
            try:
                prog.read(address, end - address)
            except FaultError:
                continue

    def attributing() -> None:
        fresh = allocdump.open(core)
        fresh.report()
        fresh.attribution()

    def opening() -> None:
        allocdump.open(core).report()

    whole, only, base, opened = best(5, attributing, reading, opening, lambda: allocdump.open(core))
    return (whole - base) / (only - opened)


def leaks(core: Path, rounds: int) -> None:
    """Finding lost memory, against only reading the bytes of the same allocations."""
    dump = allocdump.open(core)
    graph = dump.graph()
    dump.leaks()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    heap = graph.scanner.heap
    runs: list[tuple[int, int]] = []
    for section in heap.index.sections:
        first = int(heap.index.of_pfn(np.array([section.pfn]))[0])
        scan = heap.blocks.scan[heap.owner[first : first + section.pages]]
        for begin, end in runs_of(scan, 512):
            place = heap.direct_map + (section.pfn + begin) * heap.page.bytes
            runs.append((place, (end - begin) * heap.page.bytes))

    def reading() -> None:
        memory = Memory(allocdump.open(core).prog)
        for address, size in runs:
            memory.read(address, size)

    def finding() -> None:
        allocdump.open(core).leaks()

    def opening() -> None:
        allocdump.open(core).report()

    whole, only, base, opened = best(
        rounds, finding, reading, opening, lambda: allocdump.open(core)
    )
    megabytes = sum(size for _, size in runs) >> 20
    print(
        f"leaks of {core.parent.name}: {len(graph.nodes):,} allocations and"
        f" {len(graph.source):,} links, {megabytes:,} MiB, in {whole - base:.2f} s:"
        f" {(whole - base) / (only - opened):.2f} times as long as only reading these bytes"
        f" (bar: 2.5), peak memory {peak:.0f} MiB"
    )
    start = time.perf_counter()
    dump.dominators()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  retained: {seconds:.1f} s more, peak memory {peak:.0f} MiB")


def _page_loop(prog: Program, pages: int, sample: int = 50_000) -> float:
    """Seconds for all pages of a loop that does with drgn what page_ext_get() does."""
    section = prog["mem_section"]
    size = prog["page_ext_size"].value_()
    offset = prog["page_alloc_tagging_ops"].offset.value_()
    tags: dict[int, int] = {}
    start = time.perf_counter()
    for page in islice(for_each_page(prog), sample):
        pfn = page_to_pfn(page).value_()
        number = pfn >> 15
        base = section[number // 128][number % 128].page_ext.value_()
        try:
            tag = prog.read_u64(base + pfn * size + offset)
            tags[tag] = tags.get(tag, 0) + (1 << compound_order(page).value_())
        except FaultError:
            continue
    return (time.perf_counter() - start) * pages / sample


def _object_loop(prog: Program, seconds: float = 20) -> tuple[int, float]:
    """Objects that drgn's helper lists within a while, and the seconds it took."""
    done, start = 0, time.perf_counter()
    for cache in for_each_slab_cache(prog):
        try:
            for _ in slab_cache_for_each_allocated_object(cache, "void"):
                done += 1
                if time.perf_counter() - start > seconds:
                    return done, time.perf_counter() - start
        except (FaultError, LookupError, ValueError):
            continue  # it dies where a dump has holes
    return done, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "cores",
        nargs="*",
        type=Path,
        help="larger dumps, as the lab's `dump 7.2 big` makes, for attribution and leaks",
    )
    args = parser.parse_args()
    counters(TESTDATA / "7.3-tiny" / "vmcore", args.rounds)
    for folder in ("6.12-oom", "7.2-quiet", "7.3-compressed"):
        whole_report(TESTDATA / folder / "vmcore", args.rounds)
    shell(TESTDATA / "7.3-tiny" / "vmcore", args.rounds)
    for core in args.cores:
        whole_report(core, args.rounds)
        attribution(core)
        leaks(core, 3)


if __name__ == "__main__":
    main()
