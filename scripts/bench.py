# SPDX-License-Identifier: LGPL-2.1-or-later
"""Speed, as ratios: machines differ, and so do their moods.

Alternatives take turns with allocdump, and the best of several rounds counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr

import allocdump
from allocdump.dump.memory import Memory
from allocdump.kernel.codetag import read_tags
from allocdump.kernel.counters import sum_counters

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
    prog = allocdump.open(core).prog
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
        size, calls, _ = sum_counters(Memory(prog), pointers)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("cores", nargs="*", type=Path, help="dumps to report on besides testdata")
    args = parser.parse_args()
    counters(TESTDATA / "7.3-tiny" / "vmcore", args.rounds)
    for folder in ("6.12-oom", "7.2-quiet", "7.3-compressed"):
        whole_report(TESTDATA / folder / "vmcore", args.rounds)
    for core in args.cores:
        whole_report(core, args.rounds)


if __name__ == "__main__":
    main()
