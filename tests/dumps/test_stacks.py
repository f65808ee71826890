# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of pages and objects against what the kernel itself printed just before it died."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from flamegraph_textual.pprof_parser.profile_pb2 import Profile

from allocdump.kernel.machine.code_names import CodeNames
from allocdump.kernel.stacks.page_owner import comm_of
from allocdump.session import Session

from ..dumpdata import TESTDATA, core, open_core, recorded, run

FOLDER = "7.3-stacks"
KEPT = TESTDATA / FOLDER
pytestmark = pytest.mark.skipif(not KEPT.is_dir(), reason="the dump is not there")

_FRAME = re.compile(r"(?P<place>[^/\s]+)(?:/0x[0-9a-f]+)?(?: (?P<module>\[\w+\]))?")
_PAGE = re.compile(
    r"Page allocated via order (?P<order>\d+), .*, pid (?P<pid>-?\d+), tgid (?P<tgid>-?\d+)"
    r" \((?P<comm>.*)\), ts (?P<time>\d+) ns\nPFN (?P<pfn>0x[0-9a-f]+) .*\n"
    r"handle: (?P<handle>\d+)\n"
)
_OBJECTS = re.compile(
    r" *(?P<count>\d+) (?P<place>\S+(?: \[\w+\])?)(?: waste=\S+)? age=(?P<age>\S+) pid=\S+"
    r"(?: cpus=\S+)?"
)


def printed(file: str) -> str:
    return gzip.decompress((KEPT / file).read_bytes()).decode()


def frame(text: str) -> str:
    """As we write it: without the size of the function."""
    found = _FRAME.fullmatch(text.strip())
    assert found, text
    module = f" {found['module']}" if found["module"] else ""
    return found["place"] + module


@pytest.fixture(scope="module")
def dump() -> Session:
    return open_core(core(FOLDER))


def stacks_told() -> dict[int, tuple[str, ...]]:
    out = {}
    for block in printed("stacks.gz").split("\n\n"):
        *frames, last = block.strip("\n").split("\n")
        if last:
            out[int(last.removeprefix("handle: "))] = tuple(map(frame, frames))
    return out


def test_stacks_are_those_that_the_kernel_printed(dump: Session) -> None:
    told = stacks_told()
    assert len(told) > 300
    found = dump.pagemap.stacks.stacks(np.array(list(told), np.uint32))
    assert not found.problems
    code = CodeNames(dump.prog, as_printed=True)
    for handle, stack in zip(found.handle.tolist(), found, strict=True):
        assert tuple(code[address].label for address in stack) == told[handle]


def test_owners_of_pages_are_those_that_the_kernel_printed(dump: Session) -> None:
    """All of them, but for pages that were allocated or freed while it printed."""
    entries = list(_PAGE.finditer(printed("page_owner.gz")))
    assert len(entries) > 5_000
    reader = dump.pagemap.stacks.pages
    assert reader is not None
    pfn = np.array([int(m["pfn"], 16) for m in entries], np.int64)
    owner = reader.owners(pfn)
    begun = max(int(m["time"]) for m in entries if m["comm"] != "cat")
    later = changed = 0
    for i, m in enumerate(entries):
        if owner.time[i] != int(m["time"]):
            assert owner.time[i] > begun
            later += 1
            continue
        if not owner.allocated[i]:
            assert owner.free_time[i] > begun
            changed += 1
        assert owner.handle[i] == int(m["handle"])
        assert owner.order[i] == int(m["order"])
        assert (owner.pid[i], owner.tgid[i]) == (int(m["pid"]), int(m["tgid"]))
        assert comm_of(owner.comm[i]) == m["comm"]
    assert later + changed < len(entries) // 20
    # And no other page is in use since then.
    everything = np.concatenate(
        [np.arange(s.pfn, s.pfn + s.pages) for s in dump.pagemap.frames.sections]
    )
    owners = reader.owners(everything)
    first = everything % (1 << np.minimum(owners.order, 20)) == 0
    old = owners.allocated & first & (owners.handle != 0) & (owners.time < begun)
    missed = np.setdiff1d(everything[old], pfn)
    assert not len(missed)


Way = tuple[str, ...]
"""The place that asked for an object, and the frames of the stack."""


def objects_told(file: str) -> dict[str, list[tuple[Way, int, int]]]:
    """Of each cache the ways of its objects, their number, and the largest age in ticks."""
    out: dict[str, list[tuple[Way, int, int]]] = {}
    for line in printed(file).splitlines():
        if line.startswith("cache "):
            ways = out[line.removeprefix("cache ")] = []
        elif found := _OBJECTS.fullmatch(line):
            age = int(found["age"].split("/")[-1])
            ways.append(((frame(found["place"]),), int(found["count"]), age))
        elif line.startswith("        "):
            way, count, age = ways.pop()
            ways.append(((*way, frame(line)), count, age))
    return out


@dataclass
class Tracked:
    """Objects of one cache."""

    used: list[bool]
    ways: list[Way]
    allocated: list[int]
    freed: list[int]
    """In ticks; 0 for never."""


def tracked(dump: Session, *, freed: bool) -> dict[str, Tracked]:
    """All objects of caches that are tracked.

    :param freed: ways of who freed them, instead of who allocated them
    """
    pagemap = dump.pagemap
    kept, code = pagemap.stacks, pagemap.origins.code
    assert kept.objects is not None
    out = {cache.name: Tracked([], [], [], []) for cache in pagemap.caches if cache.track}
    for part in pagemap:
        for objects in part.objects():
            cache = part.slabs.cache[objects.slab]
            tracks = [kept.objects.tracks(objects.address, cache, freed=f) for f in (False, True)]
            stacks = kept.stacks(tracks[freed].handle)
            assert not stacks.problems
            frames = dict(zip(stacks.handle.tolist(), stacks, strict=True))
            ways = {
                handle: tuple(code[address].label for address in frames.get(handle, ()))
                for handle in np.unique(tracks[freed].handle).tolist()
            }
            for i, row in enumerate(cache.tolist()):
                one = out[pagemap.caches[row].name]
                one.used.append(bool(objects.site[i] != -1))
                address = int(tracks[freed].address[i])
                place = code[address].label if address else "<not-available>"
                one.ways.append((place, *ways[int(tracks[freed].handle[i])]))
                one.allocated.append(int(tracks[0].time[i]))
                one.freed.append(int(tracks[1].time[i]))
    return out


def printed_at(told: list[tuple[Way, int, int]], ways: list[Way], times: list[int]) -> int:
    """Ticks when the kernel printed: what the oldest object of most ways and its age add up to."""
    oldest: dict[Way, int] = {}
    for way, time in zip(ways, times, strict=True):
        oldest[way] = min(time, oldest.get(way, time))
    found = Counter(oldest[way] + age for way, _, age in told if way in oldest)
    return found.most_common(1)[0][0] if found else 0


@pytest.mark.parametrize("kind", ["alloc", "free"])
def test_owners_of_objects_are_those_that_the_kernel_printed(dump: Session, kind: str) -> None:
    """Of all objects, but for those that were allocated or freed since it printed."""
    told, found = objects_told(f"slab_{kind}_traces.gz"), tracked(dump, freed=kind == "free")
    assert sum(count for ways in told.values() for _, count, _ in ways) > 10_000
    assert {name for name, ways in told.items() if ways} <= set(found)
    objects = 0
    for name, ways in told.items():
        if not ways:
            continue
        mine = found[name]
        times = mine.allocated if kind == "alloc" else mine.freed
        now = printed_at(ways, mine.ways, times)
        rows = list(zip(mine.used, mine.ways, mine.allocated, mine.freed, strict=True))
        still = Counter(way for used, way, a, f in rows if used and max(a, f) < now)
        kernels = Counter({way: 0 for way, _, _ in ways})
        for way, count, _ in ways:
            kernels[way] += count
        # What was freed since has lost its track, for init_on_free clears it; or its whole slab.
        assert still <= kernels, name
        objects += still.total()
    assert objects > 0.9 * sum(count for ways in told.values() for _, count, _ in ways)


def rows(*words: object) -> list[dict[str, Any]]:
    said = run(*words, "--format", "json")
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.mark.parametrize("command", ["objects", "pages", "leaks"])
def test_groups_by_stack_add_up_to_the_whole(command: str) -> None:
    by_stack, by_site = (rows(command, core(FOLDER), "-g", key) for key in ("stack", "module"))
    for field in ("bytes", "lost"):
        assert sum(r.get(field, 0) for r in by_stack) == sum(r.get(field, 0) for r in by_site)
    assert len(by_stack) > 20
    assert all(isinstance(r["stack"], str) for r in by_stack)


@pytest.mark.parametrize("command", ["objects", "pages", "leaks"])
def test_flame_graphs_of_stacks_add_up_to_the_whole(command: str) -> None:
    """One line or sample for each way, outermost frame first."""
    size, calls = {"objects": ("bytes", "objects"), "leaks": ("lost", "allocations")}.get(
        command, ("bytes", "allocations")
    )
    told = [row for row in rows(command, core(FOLDER), "-g", "stack") if row[size]]
    whole = sum(row[size] for row in told)
    folded = run(command, core(FOLDER), "-g", "stack", "--format", "folded").stdout.splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in folded) == whole > 0
    assert len(folded) == len(told)
    way = next(line for line in folded if "lose_" in line)
    assert way.startswith(("entry_SYSCALL_64", "do_syscall_64"))
    assert way.rpartition(" ")[0].rpartition(";")[2].startswith("lose_")
    done = run(command, core(FOLDER), "-g", "stack", "--format", "pprof", text=False)
    profile = Profile.FromString(gzip.decompress(done.stdout))
    assert sum(sample.value[0] for sample in profile.sample) == whole
    assert sum(sample.value[1] for sample in profile.sample) == sum(r[calls] for r in told)


def test_flame_graphs_are_of_sums() -> None:
    for option in (["--list"], ["-g", "vmalloc"], ["--sort", "name"]):
        done = run("objects", core(FOLDER), *option, "--format", "folded")
        assert done.returncode == 2
        assert "folded is for sums by keys" in done.stderr


def test_lost_memory_is_told_by_the_call_site_in_its_stack() -> None:
    """What ``reach`` lost, each by its function, without a tag."""
    lost = {
        row["name"].partition("+")[0]: row
        for row in rows("leaks", core(FOLDER), "--filter", "module=reach")
    }
    for function in ("lose_objects", "lose_pages", "lose_compound_pages"):
        assert lost[function]["origin"] == "stack"
        assert lost[function]["confidence"] == "certain"
    truth = [one for one in recorded(core(FOLDER)) if one[6] == "reach"]
    assert truth


def test_whois_tells_who_allocated_a_page() -> None:
    """As the kernel printed it, with its age."""
    entry = next(m for m in _PAGE.finditer(printed("page_owner.gz")) if m["comm"] == "insmod")
    (found,) = rows("whois", core(FOLDER), f"pfn:{int(entry['pfn'], 16)}")
    (event,) = found["layers"][-1]["history"]
    told = {"what": "allocated", "source": "page_owner", "comm": "insmod"}
    assert event | told == event
    assert (event["pid"], event["tgid"]) == (int(entry["pid"]), int(entry["tgid"]))
    assert event["seconds"] == int(entry["time"]) / 1e9
    assert tuple(event["stack"]) == stacks_told()[int(entry["handle"])]
    assert 0 < event["age"] < 60
