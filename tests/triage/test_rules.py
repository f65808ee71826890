# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each rule on cases made by hand: it finds what it is for, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from allocdump.analysis.audit import Cause
from allocdump.analysis.fragmentation import Fragmentation, InTheWay, ZoneBlocks
from allocdump.analysis.usage import Node
from allocdump.analysis.wrappers import Wrappers
from allocdump.arch.base import PageSize
from allocdump.confidence import Confidence
from allocdump.kernel.machine.inodes import Pins
from allocdump.kernel.machine.oom import AllocationFailure, Constraint
from allocdump.kernel.machine.open_files import OpenFiles
from allocdump.kernel.machine.swap import Swap
from allocdump.kernel.machine.tmpfs import Tmpfs
from allocdump.kernel.machine.zones import ZoneState
from allocdump.kernel.mm.origins import Origins
from allocdump.kernel.tags.sites import Sites
from allocdump.sentence import say
from allocdump.triage.died import died
from allocdump.triage.evidence import (
    Evidence,
    Keeper,
    LargeHolder,
    LostSite,
    Watcher,
    ZombieMemory,
)
from allocdump.triage.holders import holders
from allocdump.triage.rules import RULES, suspects
from allocdump.triage.rules.caches import large_caches
from allocdump.triage.rules.files import open_files, unexplained_pages
from allocdump.triage.rules.kept import kept_files, kept_keys
from allocdump.triage.rules.limits import (
    cgroup_kills,
    cgroup_limit,
    cgroup_throttled,
    elsewhere,
    fragmentation,
)
from allocdump.triage.rules.proof import held_memory, lost_memory, unloaded_modules
from allocdump.triage.rules.sites import large_sites
from allocdump.triage.rules.trust import (
    empty_slabs,
    unexplained,
)
from allocdump.triage.rules.user import user_memory
from allocdump.triage.rules.zombies import zombie_cgroups
from allocdump.triage.shortage import Shortage, shortage, standing
from allocdump.triage.verdict import Suspect
from allocdump.view.sentence import text

from .. import cases, samples
from ..cases import MIB, QUIET, case, event, footprint, task, zone


def titles(found: list[Suspect]) -> list[str]:
    return [text(suspect.title) for suspect in found]


def evidence(suspect: Suspect) -> list[str]:
    return [text(sentence) for sentence in suspect.evidence]


def test_nothing_is_invented() -> None:
    assert suspects(case()) == []
    assert suspects(case(**QUIET)) == []
    assert suspects(case(footprint=None, usage=None, zones=[], events=[])) == []
    assert len(RULES) == len(set(RULES)) == 18


class TestLargeSites:
    def test_a_site_that_allocates_for_others(self) -> None:
        held, none = footprint((600, 100, 100)), np.zeros(4, np.int64)
        many, few = np.array([11, 0, 1, 2]), np.array([3, 11, 1, 2])
        for sizes, kinds, said in (
            (many, none, "its objects are of 11 sizes"),
            (few, many, "its objects are of 3 sizes and held by 11 kinds of holders"),
            (few, few, ""),
            (many, few, ""),
        ):
            (found,) = large_sites(case(footprint=held, wrappers=Wrappers(sizes, kinds)))
            lines = [one for one in evidence(found) if "many callers" in one]
            assert lines == ([f"{said}, so that it may allocate for many callers"] if said else [])
            assert any("--group-by holder" in one for one in found.commands) == bool(said)

    def test_far_above_the_rest(self) -> None:
        (found,) = large_sites(case(footprint=footprint((600, 100, 100))))
        assert titles([found]) == [
            "KERNEL MEMORY in module m (a.c:1, first): 600 MiB, 60.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert found.bytes == 600 * MIB
        assert evidence(found) == [
            "a.c:1 first [m]: 10 allocations not freed, 0 B by its counter",
            "the next largest of the kernel's, at b.c:3 (other), keeps 100 MiB",
            "all of module m: 700 MiB at 2 sites",
        ]
        assert found.commands == [
            "allocdump audit vmcore --all --filter a.c:1",
            "allocdump pages vmcore --filter a.c:1 --list --top 10",
        ]

    def test_files_of_a_tmpfs(self) -> None:
        """Their inodes come from caches that do not shrink."""
        mounts = [Tmpfs("/tmp", 3, 0, 0), Tmpfs("/scratch", 9, 0, 0)]
        (found,) = large_sites(case(footprint=footprint((600, 100, 100)), tmpfs=mounts))
        said = "most files in memory: tmpfs /scratch, 9 files"
        assert said in evidence(found)
        assert [(fact.label, text(fact.value)) for fact in found.below] == [("files", said)]
        assert found.advice
        assert "nr_inodes" in text(found.advice)
        (found,) = large_sites(case(footprint=footprint((600, 100, 100)), tmpfs=mounts[:1]))
        assert not found.below
        assert found.advice
        assert "first()" in text(found.advice)

    def test_less_than_half(self) -> None:
        (found,) = large_sites(case(footprint=footprint((300, 0, 100))))
        assert found.confidence == Confidence.LIKELY

    def test_not_far_above_the_rest(self) -> None:
        (found,) = large_sites(case(footprint=footprint((550, 0, 190))))
        assert found.confidence == Confidence.POSSIBLE

    def test_sites_of_one_module_add_up(self) -> None:
        (found,) = large_sites(case(footprint=footprint((300, 250, 100))))
        assert titles([found]) == [
            "KERNEL MEMORY in module m (a.c:1, first) and 1 more site: 550 MiB, 55.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert "allocdump report vmcore --filter module=m" in found.commands

    @pytest.mark.parametrize(
        ("files", "group"),
        [
            # As two real machines had them, whose sites were only "possible" one by one.
            (("fs/eventpoll.c", "fs/eventpoll.c"), "fs/eventpoll.c"),
            (("kernel/bpf/memalloc.c", "kernel/bpf/hashtab.c"), "kernel/bpf"),
            (("net/core/skbuff.c", "net/core/sock.c"), "net/core"),
        ],
    )
    def test_sites_of_one_part_of_the_kernel_add_up(
        self, files: tuple[str, str], group: str
    ) -> None:
        sites = replace(
            cases.SITES,
            module=np.array([""] * 4, np.object_),
            file=np.array([*files, "mm/util.c", "mm/slub.c"], np.object_),
        )
        (found,) = large_sites(case(sites=sites, footprint=footprint((504, 252, 30, 30))))
        assert titles([found]) == [
            f"KERNEL MEMORY at {files[0]}:1 (first) and 1 more site of {group}: 756 MiB,"
            " 75.6% of memory"
        ]
        assert (found.subject, found.confidence) == (group, Confidence.VERY_LIKELY)

    @pytest.mark.parametrize(
        "files", [("fs/eventpoll.c", "fs/pipe.c"), ("include/linux/mm/a.h", "include/linux/mm/b.h")]
    )
    def test_sites_of_different_parts_do_not(self, files: tuple[str, str]) -> None:
        sites = replace(
            cases.SITES,
            module=np.array([""] * 4, np.object_),
            file=np.array([*files, "mm/util.c", "mm/slub.c"], np.object_),
        )
        found = large_sites(case(sites=sites, footprint=footprint((504, 252, 30, 30))))
        assert [(s.bytes, s.confidence) for s in found] == [
            (504 * MIB, Confidence.POSSIBLE), (252 * MIB, Confidence.POSSIBLE)
        ]  # fmt: skip

    def test_a_task_with_many_files_is_named(self) -> None:
        held = footprint((0, 0, 700))
        owner = OpenFiles(7, "culprit", 478_000, {"eventpoll": 477_000, "file": 1000}, 0, 0, 0, 0)
        groups = [cases.cgroup("/lab", 640)]
        (found,) = large_sites(case(footprint=held, files=[owner], cgroups=groups))
        assert evidence(found)[-2:] == [
            "task culprit (pid 7) has 478,000 of all 478,000 open files: eventpoll 477,000,"
            " file 1,000",
            "memory cgroup with most: /lab, 640 MiB",
        ]

    @pytest.mark.parametrize(("files", "calls"), [(999, 30), (2000, 9000)])
    def test_a_task_with_few_files_is_not(self, files: int, calls: int) -> None:
        sites = replace(cases.SITES, calls=np.array([10, 20, calls, 40]))
        owner = OpenFiles(7, "culprit", files, {"file": files}, 0, 0, 0, 0)
        (found,) = large_sites(case(sites=sites, footprint=footprint((0, 0, 700)), files=[owner]))
        assert not any("open file" in line for line in evidence(found))

    def test_too_small(self) -> None:
        assert large_sites(case(footprint=footprint((199, 0, 0)))) == []

    def test_user_memory_is_not_the_kernels(self) -> None:
        assert large_sites(case(footprint=footprint((0,), user=(900,)))) == []

    def test_what_works_for_others_is_not_accused(self) -> None:
        sites = replace(
            cases.SITES, function=cases.SITES.function.copy(), file=cases.SITES.file.copy()
        )
        sites.file[2], sites.function[2] = "mm/percpu-vm.c", "pcpu_alloc_pages"
        assert large_sites(case(sites=sites, footprint=footprint((0, 0, 600)))) == []

    def test_reclaimable(self) -> None:
        held = footprint((0,), slab=(600,), reclaimable=(500,))
        (found,) = large_sites(case(footprint=held))
        assert found.confidence == Confidence.POSSIBLE
        assert (
            "500 MiB of it is in caches that shrink when memory is short, unless something pins"
            " what they hold"
        ) in evidence(found)
        assert found.commands[1].startswith("allocdump objects vmcore --filter a.c:1 --list")

    def test_in_use(self) -> None:
        """It could be given back if nobody used it."""
        held = footprint((0,), slab=(600,), pinned=(500,))
        pins = Pins(1000, {"inode": (990, 1000)}, {}, 970)
        (found,) = large_sites(
            case(footprint=held, pins=pins, watchers=[Watcher(42, "culprit", 980)])
        )
        assert found.confidence == Confidence.VERY_LIKELY
        assert "500 MiB of it is inodes and dentries that somebody uses" in evidence(found)
        watch = "task culprit (pid 42) watches 980 of all 1,000 inodes"
        assert watch in evidence(found)
        assert [text(fact.value) for fact in found.below] == [watch]

    def test_watched_files_of_a_tmpfs(self) -> None:
        """They are in no cache that shrinks, and stay without their watches."""
        files = [Tmpfs("/scratch", int(cases.SITES.calls[0]), 0, 0)]
        found = case(footprint=footprint((600,)), tmpfs=files, pins=Pins(1000))
        found.watchers = [Watcher(42, "culprit", 980)]
        (suspect,) = large_sites(found)
        watch = (
            "task culprit (pid 42) watches 980 of all 1,000 inodes, which something else keeps as"
            " well"
        )
        assert watch in evidence(suspect)
        assert [fact.label for fact in suspect.below] == ["in use", "files"]

    def test_not_the_cause_when_memory_was_not_short(self) -> None:
        (found,) = large_sites(case(**QUIET, footprint=footprint((600,))))
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_the_kernel_lists_it_too(self) -> None:
        fatal = event(top_sites=[cases.logged(2, 700), cases.logged(0, 600)])
        (found,) = large_sites(case(events=[fatal], footprint=footprint((600,))))
        assert evidence(found)[-1] == (
            "number 2 of the kernel's own top ten in its log, with about 600 MiB"
        )


def unprofiled(**changes: Any) -> Evidence:
    return case(sites=cases.SITES.take(np.zeros(0, np.intp)), footprint=None, **changes)


class TestLargeCaches:
    def of(self, *sizes: int, reclaimable: bool = False, **changes: Any) -> Evidence:
        """Caches of 100,000 objects: MiB of each."""
        rows = [
            cases.cache(f"c{i}", size, used=1.0, object_size=size * MIB // 100_000)
            for i, size in enumerate(sizes)
        ]
        rows = [replace(row, reclaimable=reclaimable) for row in rows]
        return unprofiled(caches=rows, **changes)

    def test_one(self) -> None:
        (found,) = large_caches(self.of(300))
        assert titles([found])[0].startswith("SLAB CACHE c0: 300 MiB in 100,0")
        assert titles([found])[0].endswith(" objects, 30.0% of memory")
        assert (found.confidence, found.cause) == (Confidence.LIKELY, True)
        assert evidence(found) == []

    def test_together(self) -> None:
        groups = [cases.cgroup("/", 950), cases.cgroup("/lab", 700), cases.cgroup("/x", 5)]
        files = [Tmpfs("/", 300, 9 * MIB, 0), Tmpfs("/scratch", 99_000, 0, 0)]
        (found,) = large_caches(self.of(340, 180, 60, 30, cgroups=groups, tmpfs=files))
        assert (found.confidence, found.bytes) == (Confidence.VERY_LIKELY, 580 * MIB)
        told = evidence(found)
        assert told[0].startswith("as many objects are in c1: 100,")
        assert told[2:] == [
            "together 580 MiB, 58.0% of memory",
            "most files in memory: tmpfs /scratch, 99,000 files",
            "memory cgroup with most: /lab, 700 MiB",
        ]

    def test_small_ones_that_belong_together(self) -> None:
        assert len(large_caches(self.of(150, 60))) == 1

    def test_small_ones_that_do_not(self) -> None:
        found = self.of(150, 60)
        found.caches[1] = replace(found.caches[1], allocated=50_000)
        assert large_caches(found) == []

    def test_merged(self) -> None:
        """Caches of one size share one, which has the name of the first."""
        found = self.of(340, 180)
        found.caches[0] = replace(found.caches[0], merged=("eventpoll_pwq", "fs_cache"))
        found.caches[1] = replace(found.caches[1], merged=("a", "b", "c"))
        (suspect,) = large_caches(found)
        assert titles([suspect])[0].startswith("SLAB CACHE c0 or eventpoll_pwq or fs_cache and 1 ")
        assert evidence(suspect)[:2] == [
            "the kernel merged caches of one size, so that c0 may be any of these: eventpoll_pwq,"
            " fs_cache",
            "as many objects are in c1 or one of 3 merged in it: 100,023 objects, 180 MiB",
        ]

    def test_reclaimable(self) -> None:
        (found,) = large_caches(self.of(600, reclaimable=True))
        assert found.confidence == Confidence.POSSIBLE
        assert evidence(found) == [
            "600 MiB of it may be reclaimed when memory is short, unless something pins it"
        ]
        assert large_caches(self.of(600, reclaimable=True, **QUIET)) == []

    def test_not_the_cause_when_memory_was_not_short(self) -> None:
        (found,) = large_caches(self.of(600, **QUIET))
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_sites_tell_more(self) -> None:
        found = self.of(600)
        found.sites = cases.SITES
        assert large_caches(found) == []

    def test_empty_slabs_are_another_rules(self) -> None:
        emptied = unprofiled(caches=[cases.cache("dentry", 400, used=0.25)])
        assert [suspect.rule for suspect in suspects(emptied)] == ["empty_slabs"]

    def test_in_use(self) -> None:
        """Caches that shrink on demand, but for objects that somebody uses."""
        found = self.of(600, 300, reclaimable=True)
        pinned = {"c0": (100_000, 100_100), "c1": (100, 100_000)}
        found.pins = Pins(100_100, pinned, {}, 99_000)
        found.watchers = [Watcher(42, "culprit", 99_000)]
        found.tmpfs = [Tmpfs("/scratch", 99_000, 0, 0)]
        (suspect,) = large_caches(found)
        assert (suspect.confidence, suspect.cause) == (Confidence.VERY_LIKELY, True)
        watch = "task culprit (pid 42) watches 99,000 of all 100,100 inodes"
        told = evidence(suspect)
        assert told[2:5] == [
            "100,000 of 100,100 objects of c0 cannot be given back: somebody uses them",
            watch,
            "most files in memory: tmpfs /scratch, 99,000 files",
        ]
        assert [(fact.label, text(fact.value)) for fact in suspect.below] == [
            ("in use", watch),
            ("files", "most files in memory: tmpfs /scratch, 99,000 files"),
        ]
        found.watchers = [Watcher(42, "culprit", 9000)]
        assert watch not in evidence(large_caches(found)[0])


def keeper(**kinds: int) -> Keeper:
    """MiB by kind of file; what is kept comes from b.c:3 (other)."""
    sizes = {kind: size * MIB for kind, size in kinds.items()}
    counts = {kind: 1000 * size for kind, size in kinds.items()}
    things = {"BPF map sessions (hash, at most 9 of 408 B)": sizes.get("bpf_map", 0)}
    return Keeper(42, "culprit", sizes, counts, {2: sum(sizes.values())}, things)


class TestKept:
    def test_files(self) -> None:
        tasks = [task("culprit", cgroup="/lab")]
        (found,) = kept_files(case(kept=[keeper(eventpoll=400, eventfd=200, null=1)], tasks=tasks))
        assert titles([found]) == [
            "OPEN FILES of task culprit (pid 42): 601 MiB kept by 400,000 eventpoll and 200,000"
            " eventfd files alone, 60.1% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert found.subject == "b.c"
        assert [(fact.label, text(fact.value)) for fact in found.below] == [
            ("of it", "601 MiB b.c:3 other"),
            ("cgroup", "/lab"),
        ]

    def test_the_task_is_named_before_its_sites(self) -> None:
        held = footprint((0, 0, 700))
        found = suspects(case(kept=[keeper(eventpoll=600)], footprint=held))
        (first,) = (suspect for suspect in found if suspect.cause)
        assert first.rule == "kept_files"
        assert any(line.startswith("KERNEL MEMORY at b.c:3 (other)") for line in evidence(first))

    def test_maps(self) -> None:
        (found,) = kept_files(case(kept=[keeper(bpf_map=300)]))
        assert found.confidence == Confidence.LIKELY
        assert evidence(found)[0] == "BPF map sessions (hash, at most 9 of 408 B): 300 MiB"
        assert [fact.label for fact in found.below] == ["of it", "most in"]

    def test_pipes_and_sockets_have_a_rule(self) -> None:
        assert kept_files(case(kept=[keeper(pipeanon=500, socket=400, null=100)])) == []

    def test_little(self) -> None:
        assert kept_files(case(kept=[keeper(eventpoll=199)])) == []
        assert kept_keys(case(keys=[keeper(key=199)])) == []

    def test_not_the_cause_when_memory_was_not_short(self) -> None:
        (found,) = kept_files(case(**QUIET, kept=[keeper(eventpoll=600)]))
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_keys(self) -> None:
        (found,) = kept_keys(case(keys=[keeper(key=300)]))
        assert titles([found]) == [
            "KEYS of task culprit (pid 42): 300 MiB in 300,000 keys on its keyrings, 30.0% of"
            " memory"
        ]


def files(pid: int = 42, *, pipes: int = 0, sockets: int = 0) -> OpenFiles:
    """MiB in 300 pipes and 500 sockets."""
    numbers = (300 * bool(pipes), pipes * MIB, 500 * bool(sockets), sockets * MIB)
    return OpenFiles(pid, "culprit", 1200, {"socket": 1200}, *numbers)


class TestOpenFiles:
    rest = cases.usage(other_pages_without_a_site=700)

    def test_pipes(self) -> None:
        (found,) = open_files(unprofiled(usage=self.rest, files=[files(pipes=660)]))
        assert titles([found]) == [
            "PIPES of task culprit (pid 42): 660 MiB in 300 pipes, 66.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert evidence(found) == [
            "pages that are no slabs, page tables, page cache or memory of tasks: 700 MiB"
        ]

    def test_sockets_too(self) -> None:
        (found,) = open_files(unprofiled(usage=self.rest, files=[files(pipes=100, sockets=150)]))
        assert "250 MiB in 300 pipes and 500 sockets, 25.0%" in titles([found])[0]
        assert found.confidence == Confidence.LIKELY

    @pytest.mark.parametrize("usage", [None, cases.usage(other_pages_without_a_site=100)])
    def test_memory_that_is_not_known_to_be_theirs(self, usage: Node | None) -> None:
        """Sockets may be charged with pages of files."""
        (found,) = open_files(unprofiled(usage=usage, files=[files(sockets=600)]))
        assert "in 500 sockets" in titles([found])[0]
        assert found.confidence == Confidence.LIKELY

    def test_small_packets_are_slab_objects(self) -> None:
        usage = cases.usage(other_pages_without_a_site=50, slab=800)
        (found,) = open_files(unprofiled(usage=usage, files=[files(sockets=600)]))
        assert found.confidence == Confidence.VERY_LIKELY

    def test_many_tasks(self) -> None:
        workers = [files(pid, sockets=190 - pid) for pid in range(3)]
        (found,) = open_files(unprofiled(usage=self.rest, files=workers))
        assert titles([found]) == ["PIPES AND SOCKETS of 3 tasks: 567 MiB, 56.7% of memory"]
        assert evidence(found)[0] == "most is kept by task culprit (pid 0): 190 MiB"

    def test_more_than_there_is(self) -> None:
        assert open_files(unprofiled(files=[files(pipes=999)])) == []

    def test_little(self) -> None:
        assert open_files(unprofiled(files=[files(pipes=199)])) == []

    def test_a_finding_where_sites_tell(self) -> None:
        (found,) = open_files(case(usage=self.rest, files=[files(pipes=660), files(7, pipes=9)]))
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    @pytest.mark.parametrize(
        ("held", "file"), [("pipes", "fs/pipe.c"), ("sockets", "net/core/skbuff.c")]
    )
    def test_what_wrappers_were_called_for(self, held: str, file: str) -> None:
        """With a profile, the task is named with the call sites of pipes and packets."""
        sites = replace(
            cases.SITES,
            module=np.array([""] * 4, np.object_),
            file=np.array([file, file, "mm/util.c", "mm/slub.c"], np.object_),
        )
        owner = replace(files(**{held: 660}), protocols={"UNIX-STREAM": 499, "TCP": 1})
        (found,) = suspects(case(sites=sites, footprint=footprint((400, 290, 40)), files=[owner]))
        assert (found.rule, found.cause, found.confidence) == (
            "open_files", True, Confidence.VERY_LIKELY
        )  # fmt: skip
        assert titles([found])[0].startswith(f"{held.upper()} of task culprit (pid 42): 660 MiB")
        said = evidence(found)
        assert any(line.startswith(f"KERNEL MEMORY at {file}:1 (first)") for line in said)
        protocols = "its sockets by protocol: UNIX-STREAM 499, TCP 1"
        assert (protocols in said) == (held == "sockets")

    def test_a_finding_where_memory_was_not_short(self) -> None:
        quiet = {"events": [], "zones": [zone(500)]}
        (found,) = open_files(unprofiled(**quiet, files=[files(sockets=300)]))
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_pages_that_nothing_explains(self) -> None:
        (found,) = unexplained_pages(unprofiled(usage=self.rest, files=[files(pipes=100)]))
        assert titles([found]) == [
            "PAGES THAT NOTHING EXPLAINS: 600 MiB, 60.0% of memory; no slab, page table, cache or"
            " task has them (pipe buffers, socket buffers, vmalloc, drivers)"
        ]
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_pages_that_pipes_explain(self) -> None:
        assert unexplained_pages(unprofiled(usage=self.rest, files=[files(pipes=201)])) == []
        assert unexplained_pages(case(usage=self.rest)) == []


class TestUnloadedModules:
    def sites(self) -> Sites:
        sites = cases.SITES.take(np.arange(len(cases.SITES)))
        sites.unloaded[:2], sites.bytes[:2] = True, [300 * MIB, 5]
        return sites

    def test_it_is_certain(self) -> None:
        (found,) = unloaded_modules(case(sites=self.sites()))
        assert titles([found]) == [
            "LEAK of module m, which was unloaded: 300 MiB left behind, 30.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert evidence(found) == ["a.c:1 first [m]: 300 MiB", "a.c:2 second [m]: 5 B"]
        assert "allocdump report vmcore --filter module=m" in found.commands

    def test_its_name_may_be_unreadable(self) -> None:
        sites = self.sites()
        sites.module[:2] = "?"
        (found,) = unloaded_modules(case(sites=sites))
        assert titles([found]) == [
            "LEAK of a module of unreadable name, which was unloaded: 300 MiB left behind,"
            " 30.0% of memory"
        ]
        assert "allocdump report vmcore --filter 'module=[?]'" in found.commands

    def test_little_is_no_cause(self) -> None:
        sites = self.sites()
        sites.bytes[0] = 2 * MIB
        (found,) = unloaded_modules(case(sites=sites))
        assert (found.confidence, found.cause) == (Confidence.CERTAIN, False)

    def test_most_of_memory(self) -> None:
        sites = self.sites()
        sites.bytes[0] = 500 * MIB
        (found,) = unloaded_modules(case(sites=sites))
        assert (found.confidence, found.cause) == (Confidence.CERTAIN, True)

    def test_nothing_left(self) -> None:
        sites = self.sites()
        sites.bytes[:] = 0
        assert unloaded_modules(case(sites=sites)) == []


class TestUserMemory:
    filled = cases.usage(free=5, anonymous_memory=700, shared_memory_and_tmpfs=100, slab=50)

    def test_a_task(self) -> None:
        eaters = [task("eater", anon=650, swap=20), task("other", anon=10)]
        (found,) = user_memory(case(usage=self.filled, tasks=eaters, swap=Swap(9, 8)))
        assert titles([found]) == [
            "USER MEMORY, most of it of task eater (pid 42), 650 MiB: 800 MiB, 80.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert evidence(found) == [
            "largest task: eater (pid 42), 650 MiB resident, 20.0 MiB in swap, oom_score_adj 0",
            "anonymous memory: 700 MiB",
            "shared memory and tmpfs: 100 MiB",
            "all call sites of the kernel together keep 170 MiB, 17.0%",
            "swap: 8 B of 9 B used",
        ]

    @pytest.mark.parametrize("idle", [600, 300])
    def test_huge_pages_that_nobody_uses(self, idle: int) -> None:
        size = Node("hugepages-2048kB").add(Node("in use", (620 - idle) * MIB))
        size.add(Node("free", idle * MIB))
        huge = Node("huge pages (hugetlb)").add(size)
        made = cases.usage(free=5, anonymous_memory=50).add(huge)
        (found,) = user_memory(case(usage=made))
        assert f"huge pages that wait in their pool, unused: {idle} MiB" in evidence(found)
        assert found.advice is not None
        advice = text(found.advice)
        if idle == 600:
            assert titles([found]) == [
                "HUGE PAGES that nobody uses: 600 MiB wait in their pool; with all user memory,"
                " 670 MiB, 67.0% of memory"
            ]
            assert advice.startswith("make the pool of huge pages smaller")
        else:
            assert titles([found]) == ["USER MEMORY, not the kernel's: 670 MiB, 67.0% of memory"]
            assert not advice.startswith("make the pool")

    def test_many_tasks(self) -> None:
        eaters = [task(anon=100) for _ in range(7)]
        (found,) = user_memory(case(usage=self.filled, tasks=eaters))
        assert titles([found]) == ["USER MEMORY, not the kernel's: 800 MiB, 80.0% of memory"]

    def test_files_in_memory(self) -> None:
        held = cases.usage(anonymous_memory=50, shared_memory_and_tmpfs=700)
        files = [Tmpfs("/dev/shm", 3, 690 * MIB, 0)]
        (found,) = user_memory(case(usage=held, tmpfs=files, tasks=[task(anon=50)]))
        assert "most of it files in tmpfs /dev/shm with 690 MiB" in titles([found])[0]
        assert evidence(found)[0] == "largest tmpfs: /dev/shm, 3 files with 690 MiB"

    def test_files_where_memory_is_unreadable(self) -> None:
        """What is known is said, and no more."""
        files = [Tmpfs("/scratch", 3, 690 * MIB, 0)]
        groups = [cases.cgroup("/lab", 700)]
        (found,) = user_memory(unprofiled(usage=None, tmpfs=files, cgroups=groups))
        assert titles([found]) == ["USER MEMORY, files in tmpfs /scratch: 690 MiB, 69.0% of memory"]
        assert (found.confidence, found.cause) == (Confidence.LIKELY, True)
        assert evidence(found) == ["memory cgroup with most: /lab, 700 MiB"]

    def test_a_task_where_memory_is_unreadable(self) -> None:
        (found,) = user_memory(unprofiled(usage=None, tasks=[task(anon=690)]))
        assert titles([found]) == ["USER MEMORY of task eater (pid 42): 690 MiB, 69.0% of memory"]

    @pytest.mark.parametrize("size", [499, 997])
    def test_too_little_or_too_much_where_memory_is_unreadable(self, size: int) -> None:
        assert user_memory(unprofiled(usage=None, tasks=[task(anon=size)])) == []

    def test_page_cache_can_be_dropped(self) -> None:
        assert user_memory(case(usage=cases.usage(page_cache=900))) == []

    def test_only_when_memory_was_short(self) -> None:
        assert user_memory(case(**QUIET, usage=self.filled)) == []

    def test_too_little(self) -> None:
        assert user_memory(case(usage=cases.usage(anonymous_memory=499))) == []

    def test_no_kernel_site_is_accused_beside_it(self) -> None:
        held = footprint((50, 50, 60, 10), user=(0, 0, 0, 700))
        (found,) = suspects(case(usage=self.filled, footprint=held, tasks=[task(anon=650)]))
        assert found.rule == "user_memory"


class TestCgroups:
    fatal = event(constraint=Constraint.MEMCG, cgroup="/box", usage=16 * MIB, limit=16 * MIB)

    def test_the_limit_rather_than_the_machine(self) -> None:
        groups = [cases.cgroup("/box", 16, limit=16, hits=7, oom=2, kills=1)]
        eaters = [task("far", anon=500), task("eater", anon=15, cgroup="/box/pod")]
        (found,) = suspects(case(**QUIET | {"events": [self.fatal]}, cgroups=groups, tasks=eaters))
        assert titles([found]) == [
            "LIMIT of memory cgroup /box reached, not the machine's: 16.0 MiB of 16.0 MiB"
        ]
        assert (found.rule, found.confidence, found.cause) == (
            "cgroup_limit", Confidence.CERTAIN, True
        )  # fmt: skip
        assert evidence(found) == [
            "it hit its limit 7 times; the out-of-memory killer was called 2 times and killed"
            " 1 task",
            "largest task in it: eater (pid 42), 15.0 MiB resident",
            "the machine still had 800 MiB free, 80.0% of memory",
        ]

    def test_without_numbers_in_the_log(self) -> None:
        fatal = replace(self.fatal, usage=None, limit=None)
        (found,) = cgroup_limit(case(events=[fatal]))
        assert titles([found]) == ["LIMIT of memory cgroup /box reached, not the machine's"]
        (found,) = cgroup_limit(case(events=[fatal], cgroups=[cases.cgroup("/box", 9, limit=9)]))
        assert titles([found])[0].endswith(": 9.00 MiB of 9.00 MiB")

    def test_other_events_are_not_its_own(self) -> None:
        assert cgroup_limit(case()) == []
        assert cgroup_limit(case(events=[replace(self.fatal, fatal=False)])) == []

    def test_kills_of_before(self) -> None:
        groups = [
            cases.cgroup("/a", 1, limit=4, hits=9, oom=3, kills=2),
            cases.cgroup("/a/b", 1, limit=2, hits=9, oom=3, kills=2),
            cases.cgroup("/c", 1, kills=1),
        ]
        (found,) = cgroup_kills(case(cgroups=groups))
        assert titles([found]) == ["2 tasks killed at the limit of memory cgroup /a/b, 2.00 MiB"]
        assert not found.cause

    def test_a_soft_limit_is_one(self) -> None:
        """311 times, as a real machine had them, and no hard limit."""
        soft = replace(cases.cgroup("/soft", 40), high=40 * MIB, throttled=311)
        made = case(cgroups=[soft, cases.cgroup("/", 100)])
        (found,) = cgroup_throttled(made)
        assert titles([found]) == [
            "tasks of memory cgroup /soft slowed down 311 times at its memory.high, 40.0 MiB"
        ]
        assert (found.cause, found.confidence) == (False, Confidence.CERTAIN)
        section = died(made, None)
        facts = {fact.key: text(fact.value) for fact in section.facts}
        assert facts["cgroups"] == "1 of 2 memory cgroups hit a limit"
        (limits,) = [table for table in section.tables if table.key == "limits"]
        assert [row[-1] for row in limits.rows] == ["/soft"]

    def test_user_memory_is_not_to_blame_for_a_limit(self) -> None:
        held = cases.usage(anonymous_memory=900)
        assert user_memory(case(events=[self.fatal], usage=held)) == []


class TestElsewhere:
    nodes = (zone(5, managed=500), zone(300, node=1, managed=500))

    def test_another_node(self) -> None:
        fatal = event(constraint=Constraint.MEMORY_POLICY, nodes="0")
        (found,) = suspects(case(events=[fatal], zones=[*self.nodes]))
        assert titles([found]) == [
            "MEMORY ELSEWHERE: 300 MiB free in node 1 Normal, where asker could not get it"
        ]
        assert (found.rule, found.confidence) == ("elsewhere", Confidence.CERTAIN)
        assert evidence(found) == [
            "node 1 Normal: 300 MiB free, watermarks 10.0 MiB to 12.0 MiB",
            "node 0 Normal: 5.00 MiB free, watermarks 10.0 MiB to 12.0 MiB",
            "the kernel says that a memory policy allowed only node 0",
        ]
        assert found.commands == ["allocdump pages vmcore --node 0"]

    def test_when_the_log_does_not_say_so(self) -> None:
        (found,) = elsewhere(case(zones=[*self.nodes]))
        assert found.confidence == Confidence.LIKELY

    def test_a_lower_zone(self) -> None:
        zones = [zone(1, name="DMA32", managed=100), zone(300, managed=900)]
        (found,) = elsewhere(case(events=[event(gfp_mask="GFP_DMA32")], zones=zones))
        assert "300 MiB free in node 0 Normal" in titles([found])[0]

    def test_a_little_in_a_small_zone_is_no_memory_elsewhere(self) -> None:
        """A machine dies with a little left above the watermarks of ZONE_DMA."""
        zones = [zone(40, name="DMA", managed=50), zone(5, managed=950)]
        assert shortage(case(zones=zones)) == Shortage.MACHINE
        assert elsewhere(case(zones=zones)) == []

    def test_a_little_is_enough_if_the_kernel_says_so(self) -> None:
        zones = [zone(5), zone(30, node=1, managed=100)]
        fatal = event(constraint=Constraint.CPUSET, nodes="0")
        (found,) = elsewhere(case(events=[fatal], zones=zones))
        assert found.confidence == Confidence.CERTAIN

    @pytest.mark.parametrize("nodes", ["1", "0-1", "0,1"])
    def test_the_node_with_memory_was_allowed(self, nodes: str) -> None:
        fatal = event(constraint=Constraint.CPUSET, nodes=nodes)
        assert elsewhere(case(events=[fatal], zones=[*self.nodes])) == []

    def test_memory_that_is_kept_for_lower_zones_is_not_free(self) -> None:
        zones = [zone(100, name="DMA32", reserve=(0, 0, 200)), zone(5)]
        assert elsewhere(case(zones=zones)) == []


class TestZoneStates:
    @pytest.mark.parametrize(
        ("made", "state"),
        [
            (zone(10), "exhausted"),
            (zone(11), "low"),
            (zone(12), "enough"),
            (zone(100, reserve=(0, 0, 200)), "kept by lowmem_reserve"),
            (zone(9, reserve=(0, 0, 200)), "exhausted"),
            (replace(zone(40), free_cma=32 * 256), "only CMA free"),
            (replace(zone(43), free_cma=32 * 256), "low"),
            (replace(zone(30), highatomic=25 * 256), "only kept for atomic"),
            (replace(zone(60, reserve=(0, 25)), free_cma=30 * 256), "all kept"),
        ],
    )
    def test_for_a_request_that_cannot_move(self, made: ZoneState, state: str) -> None:
        assert standing(made, cma=False) == state

    def test_movable_requests_use_cma(self) -> None:
        cma = replace(zone(400), free_cma=395 * 256)
        kernel = case(events=[event(gfp_mask="GFP_KERNEL|__GFP_ZERO")], zones=[cma])
        user = case(events=[event(gfp_mask="GFP_HIGHUSER_MOVABLE")], zones=[cma])
        assert (shortage(kernel), shortage(user)) == (Shortage.MACHINE, Shortage.ELSEWHERE)
        assert elsewhere(kernel) == []
        assert standing(cma, cma=True) == "enough"


class TestZombies:
    def of(self, **kinds: int) -> ZombieMemory:
        """MiB by kind of page, of 30 groups below /jobs."""
        size = sum(kinds.values()) * MIB
        return ZombieMemory(
            30,
            {kind: n * MIB for kind, n in kinds.items()},
            {"/jobs": size},
            {"/scratch": (size, 40)},
            [("/scratch/result7", 3 * MIB)],
        )

    def test_files_of_groups_that_are_gone(self) -> None:
        (found,) = zombie_cgroups(case(zombies=self.of(shmem=600)))
        assert titles([found]) == [
            "REMOVED MEMORY CGROUPS: 600 MiB are still charged to 30 cgroups that were removed,"
            " 60.0% of memory"
        ]
        assert evidence(found) == [
            "files in tmpfs and shared memory: 600 MiB",
            "most were below /jobs: 600 MiB",
            "most is of 40 files in /scratch: 600 MiB",
            "the largest of them is /scratch/result7, 3.00 MiB",
        ]
        assert (found.confidence, found.cause) == (Confidence.LIKELY, True)

    @pytest.mark.parametrize(
        ("kinds", "changes", "cause"),
        [
            ({"shmem": 400}, {}, False),
            ({"cache": 600}, {}, False),
            ({"shmem": 600}, QUIET, False),
            ({"shmem": 300, "anonymous": 250}, {}, True),
        ],
    )
    def test_a_cause_is_most_of_a_short_memory(
        self, kinds: dict[str, int], changes: dict[str, Any], cause: bool
    ) -> None:
        (found,) = zombie_cgroups(case(zombies=self.of(**kinds), **changes))
        assert found.cause == cause

    @pytest.mark.parametrize("size", [0, 199, 1001])
    def test_little_or_absurdly_much_is_nothing(self, size: int) -> None:
        assert zombie_cgroups(case(zombies=self.of(shmem=size))) == []
        assert zombie_cgroups(case()) == []


class TestFragmentation:
    pieces = zone(300, blocks=(300 * 256, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    def test_no_piece_is_large_enough(self) -> None:
        (found,) = suspects(case(events=[event(order=4)], zones=[self.pieces]))
        assert titles([found]) == [
            "FRAGMENTATION: 300 MiB free, but no piece of order 4 (64.0 KiB)"
        ]
        assert (found.rule, found.confidence, found.cause) == (
            "fragmentation", Confidence.VERY_LIKELY, True
        )  # fmt: skip

    def blocks(self, *gives: int, movable: int = 0) -> Fragmentation:
        """Numbers of pieces that two origins stand in the way of: b.c:3 with 40 MiB, c.c:4."""
        count = len(gives)
        columns = [
            np.zeros(count), [2, 3][:count], gives, gives, [40 * MIB, 8 * MIB][:count],
            np.zeros(count), gives, [50 * MIB, 9 * MIB][:count],
        ]  # fmt: skip
        rows = InTheWay(*(np.array(column, np.int64) for column in columns))
        zones = [ZoneBlocks(self.pieces, None, 100, 0, movable)]
        return Fragmentation(4, PageSize(12), zones, rows, cast(Origins, cases.SITES), [])

    def test_what_stands_in_the_way(self) -> None:
        held = replace(keeper(pipeanon=39), sites={2: 39 * MIB})
        (found,) = fragmentation(
            case(
                events=[event(order=4)],
                zones=[self.pieces],
                fragments=self.blocks(1000, 9),
                kept=[held],
            )
        )
        told = [
            "freeing the 40.0 MiB of b.c:3 other in node 0 Normal would give 1,000 blocks of order"
            " 4",
            "task culprit (pid 42), 39,000 pipeanon files",
        ]
        assert [text(fact.value) for fact in found.below] == told
        assert evidence(found) == [
            told[0],
            "freeing the 8.00 MiB of c.c:4 small in node 0 Normal would give 9 blocks of order 4",
            "no block is without unmovable pages: compaction could have made none",
            told[1],
            "node 0 Normal: 300 MiB free in pieces of up to 4.00 KiB (order 0), watermarks"
            " 10.0 MiB to 12.0 MiB",
        ]

    def test_compaction_could_have_made_pieces(self) -> None:
        (found,) = fragmentation(
            case(events=[event(order=4)], zones=[self.pieces], fragments=self.blocks(9, movable=7))
        )
        assert evidence(found)[1].startswith("7 blocks had nothing unmovable: compaction could")
        assert [fact.key for fact in found.below] == ["between"]

    def test_compaction_makes_nothing_of_cma_for_the_kernel(self) -> None:
        blocks = self.blocks(9, movable=7)
        (zone,) = blocks.zones
        for of_cma, mask, told in (
            (7, "GFP_KERNEL", "7 blocks had nothing unmovable, but in CMA areas"),
            (5, "GFP_KERNEL", "2 blocks had nothing unmovable: compaction could"),
            (7, "GFP_HIGHUSER_MOVABLE", "7 blocks had nothing unmovable: compaction could"),
        ):
            fragments = replace(blocks, zones=[replace(zone, movable_cma=of_cma)])
            asked = event(order=4, gfp_mask=mask)
            (found,) = fragmentation(case(events=[asked], zones=[self.pieces], fragments=fragments))
            assert evidence(found)[1].startswith(told)

    def test_large_pieces_of_cma_are_of_no_use_to_the_kernel(self) -> None:
        """236 MiB are free in single pages, and 64 MiB of CMA in pieces of 4 MiB."""
        blocks = (236 * 256, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16)
        pieces = replace(zone(300, blocks=blocks), free_cma=64 * 256, cma_blocks=(0,) * 10 + (16,))
        kernel = case(events=[event(order=4, gfp_mask="GFP_KERNEL")], zones=[pieces])
        assert shortage(kernel) == Shortage.FRAGMENTED
        assert [found.rule for found in fragmentation(kernel)] == ["fragmentation"]
        movable = case(events=[event(order=4, gfp_mask="GFP_HIGHUSER_MOVABLE")], zones=[pieces])
        assert fragmentation(movable) == []

    def test_nothing_that_boot_kept_is_named(self) -> None:
        blocks = self.blocks(9)
        rows = replace(blocks.rows, row=np.array([len(cases.SITES)]))
        (found,) = fragmentation(
            case(events=[event(order=4)], zones=[self.pieces], fragments=replace(blocks, rows=rows))
        )
        assert found.below == []

    def test_nothing_stands_in_the_way_alone(self) -> None:
        (found,) = fragmentation(
            case(events=[event(order=4)], zones=[self.pieces], fragments=self.blocks(0))
        )
        assert found.below == []

    def test_shortage_is_no_fragmentation(self) -> None:
        scarce = zone(5, blocks=(5 * 256, 0))
        assert fragmentation(case(events=[event(order=4)], zones=[scarce])) == []

    def test_little_pieces_are_a_finding_only(self) -> None:
        """It was out of memory: with more, there had been a piece."""
        little = zone(30, blocks=(30 * 256, 0, 0, 0, 0))
        found = case(events=[event(order=4)], zones=[little])
        assert shortage(found) == Shortage.MACHINE
        (suspect,) = fragmentation(found)
        assert (suspect.confidence, suspect.cause) == (Confidence.POSSIBLE, False)

    def test_single_pages(self) -> None:
        assert fragmentation(case(events=[event(order=0)], zones=[self.pieces])) == []

    def test_a_failure_that_nobody_died_of(self) -> None:
        failure = AllocationFailure(1.0, "asker", 4, "GFP_KERNEL")
        (found,) = fragmentation(case(events=[], failures=[failure], zones=[self.pieces]))
        assert not found.cause


class TestUnexplained:
    def test_pages_without_a_site(self) -> None:
        (found,) = unexplained(case(usage=cases.usage(other_pages_without_a_site=300)))
        assert titles([found]) == ["NO CALL SITE explains 300 MiB in use, 30.0% of memory"]
        assert (found.confidence, found.cause) == (Confidence.LIKELY, True)
        assert "allocated before profiling was ready, or while it was off" in evidence(found)

    def test_while_profiling_was_off(self) -> None:
        off = case(usage=cases.usage(other_pages_without_a_site=60))
        off.machine = replace(off.machine, profiling="off")
        (found,) = unexplained(off)
        assert "profiling was off when the machine died" in evidence(found)
        assert (found.confidence, found.cause) == (Confidence.POSSIBLE, False)

    def test_without_a_profile_everything_is(self) -> None:
        never = case(usage=cases.usage(other_pages_without_a_site=300))
        never.sites = cases.SITES.take(np.zeros(0, np.intp))
        assert unexplained(never) == []

    def test_little(self) -> None:
        assert unexplained(case(usage=cases.usage(other_pages_without_a_site=49))) == []


class TestEmptySlabs:
    def test_mostly_empty(self) -> None:
        (found,) = empty_slabs(case(caches=[cases.cache("dentry", 400, used=0.25)]))
        assert titles([found]) == ["EMPTY SLABS of dentry: 300 MiB of 400 MiB are free objects"]
        assert found.cause
        assert "--cache dentry" in found.commands[0]

    @pytest.mark.parametrize(("size", "used"), [(400, 0.9), (50, 0.1), (90, 0.5)])
    def test_full_or_small(self, size: int, used: float) -> None:
        assert empty_slabs(case(caches=[cases.cache("dentry", size, used=used)])) == []


def trust_in(found: Evidence) -> dict[str, str]:
    return {fact.key: text(fact.value) for fact in holders(found, None).facts}


class TestTrust:
    """What speaks against the numbers is no suspect, but to be known."""

    def test_more_counted_than_found(self) -> None:
        found = case(audit=cases.audit((2, 100, 10, Cause.UNEXPLAINED)))
        assert trust_in(found)["disagreement"] == (
            "counters and memory of 1 site disagree, most of b.c:3 other: 100 MiB counted,"
            " 10.0 MiB found (unexplained)"
        )
        assert suspects(found) == suspects(case())

    @pytest.mark.parametrize(("counted", "cause"), [(40, Cause.UNEXPLAINED), (900, Cause.EXCLUDED)])
    def test_little_or_the_dumps_fault(self, counted: int, cause: Cause) -> None:
        assert "disagreement" not in trust_in(case(audit=cases.audit((2, counted, 0, cause))))

    def sites(self, size: int) -> Sites:
        sites = replace(cases.SITES, bytes=cases.SITES.bytes.copy())
        sites.bytes[2] = size * MIB
        return sites

    def test_the_dump_has_less_than_the_kernel_logged(self) -> None:
        fatal = event(top_sites=[cases.logged(2, 300, 12)])
        assert trust_in(case(events=[fatal], sites=self.sites(20)))["kernel_list_differs"] == (
            "the kernel logged about 300 MiB for b.c:3 other when it died, the dump has 20.0 MiB"
        )

    def test_the_dump_has_another_kernel(self) -> None:
        unknown = replace(cases.logged(2, 300), line=99)
        said = trust_in(case(events=[event(top_sites=[unknown])]))["kernel_list_differs"]
        assert said.endswith("b.c:99 other when it died, the dump has 0 B")

    @pytest.mark.parametrize("size", [290, 300, 310])
    def test_about_the_same(self, size: int) -> None:
        fatal = event(top_sites=[cases.logged(2, 300)])
        found = case(events=[fatal], sites=self.sites(size))
        assert "kernel_list_differs" not in trust_in(found)

    def test_an_earlier_list_is_old(self) -> None:
        earlier = event(fatal=False, top_sites=[cases.logged(2, 300)])
        assert "kernel_list_differs" not in trust_in(case(events=[earlier]))


class TestProof:
    lost = LostSite(0, 400 * MIB, 1000, 3 * MIB)
    held = LargeHolder("recs", "m .data", 300 * MIB, 206615, site=1)

    def test_lost_memory(self) -> None:
        (found,) = lost_memory(case(lost=[self.lost]))
        assert titles([found]) == ["LEAK in module m (a.c:1, first): 400 MiB lost, 40.0% of memory"]
        assert (found.confidence, found.cause) == (Confidence.VERY_LIKELY, True)
        assert evidence(found) == [
            "a.c:1 first [m]: nothing alive points at 1,000 allocations with 400 MiB any more,"
            " 3.00 MiB can still be reached (certain)"
        ]

    def test_a_leak_that_is_not_sure_makes_nothing_certain(self) -> None:
        """However much it is, and even if it is nothing that anybody died of."""
        for lost in (replace(self.lost, lost_bytes=600 * MIB), replace(self.lost)):
            for machine in ({}, QUIET):
                sure, unsure = (
                    lost_memory(case(**machine, lost=[replace(lost, confidence=degree)]))[0]
                    for degree in (Confidence.CERTAIN, Confidence.LIKELY)
                )
                assert sure.confidence >= Confidence.VERY_LIKELY
                assert unsure.confidence == Confidence.LIKELY

    def test_held_memory(self) -> None:
        (found,) = held_memory(case(holders=[self.held]))
        assert titles([found]) == [
            "HELD by recs (m .data): 300 MiB in 206,615 allocations, 30.0% of memory"
        ]
        assert (found.confidence, found.cause) == (Confidence.LIKELY, True)
        assert evidence(found) == ["most of it comes from a.c:2 second [m]"]

    def test_a_holder_of_many_kinds(self) -> None:
        (found,) = held_memory(case(holders=[replace(self.held, site=None)]))
        assert (found.evidence, found.commands) == ([], [])

    def test_little(self) -> None:
        """A proven leak is one whatever its size; nothing else is."""
        little = case(
            lost=[replace(self.lost, lost_bytes=4096)],
            holders=[replace(self.held, bytes=199 * MIB)],
        )
        (found,) = lost_memory(little)
        assert (found.bytes, found.confidence, found.cause) == (4096, Confidence.CERTAIN, False)
        assert held_memory(little) == []
        unsure = replace(self.lost, lost_bytes=49 * MIB, confidence=Confidence.LIKELY)
        assert lost_memory(case(lost=[unsure])) == []

    def test_sites_of_a_leak_add_up(self) -> None:
        """What is less sure than the largest is not counted with it."""
        lost = [
            self.lost,
            replace(self.lost, site=1, lost_bytes=150 * MIB),
            replace(self.lost, site=2, lost_bytes=70 * MIB),
        ]
        first, second = lost_memory(case(lost=lost))
        assert titles([first, second]) == [
            "LEAK in module m (a.c:1, first) and 1 more site: 550 MiB lost, 55.0% of memory",
            "LEAK at b.c:3 (other): 70.0 MiB lost, 7.0% of memory",
        ]
        assert (first.confidence, first.cause, second.cause) == (Confidence.CERTAIN, True, False)
        assert first.commands[0] == "allocdump leaks vmcore --filter module=m"
        lost[1] = replace(lost[1], confidence=Confidence.LIKELY)
        assert lost_memory(case(lost=lost))[0].bytes == 400 * MIB

    def test_many_small_leaks_take_one_line(self) -> None:
        sites = samples.sites(*((f"f{i}.c", i, f"f{i}", "", 0, 10) for i in range(14)))
        lost = [LostSite(i, (i + 1) << 12, 20, 0) for i in range(14)]
        found = lost_memory(case(sites=sites, footprint=None, lost=lost))
        assert len(found) == 11
        assert titles(found)[-1] == "LEAKS at 4 more places: 40.0 KiB lost, 0.0% of memory"

    def test_what_an_unloaded_module_left_is_told_once(self) -> None:
        sites = TestUnloadedModules().sites()
        assert lost_memory(case(sites=sites, lost=[self.lost])) == []

    def test_no_leak_is_the_cause_when_memory_was_not_short(self) -> None:
        quiet = case(**QUIET, lost=[self.lost], holders=[self.held])
        assert not any(s.cause for s in suspects(quiet))

    def test_they_strengthen_what_is_known_of_the_site(self) -> None:
        held = footprint((400, 60, 50))
        (first,) = suspects(case(footprint=held, lost=[self.lost], holders=[self.held]))
        assert (first.rule, first.confidence) == ("lost_memory", Confidence.VERY_LIKELY)
        said = evidence(first)
        assert "KERNEL MEMORY in module m (a.c:1, first): 400 MiB, 40.0% of memory" in said
        assert "all of module m: 460 MiB at 2 sites" in said
        assert "HELD by recs (m .data): 300 MiB in 206,615 allocations, 30.0% of memory" in said

    def test_a_leak_beside_what_is_held(self) -> None:
        """As of a real machine: most of the module's memory was on a list, a sixth was lost."""
        held = footprint((160, 700, 50))
        lost = replace(self.lost, lost_bytes=160 * MIB)
        first, second = suspects(
            case(footprint=held, lost=[lost], holders=[replace(self.held, bytes=700 * MIB)])
        )
        assert (first.rule, first.cause) == ("large_sites", True)
        assert titles([first]) == [
            "KERNEL MEMORY in module m (a.c:2, second): 700 MiB, 70.0% of memory"
        ]
        assert (second.rule, second.cause, second.confidence) == (
            "lost_memory", False, Confidence.CERTAIN
        )  # fmt: skip


def make(
    subject: str, confidence: Confidence, size: int | None, cause: bool = True, rule: str = "r"
) -> Suspect:
    return Suspect(rule, subject, say(subject), confidence, size, cause, [say(rule)], [rule])


def test_ranking() -> None:
    made = [
        make("not a cause", Confidence.CERTAIN, 9, cause=False),
        make("small", Confidence.LIKELY, 1),
        make("large", Confidence.LIKELY, 5),
        make("no size", Confidence.LIKELY, None),
        make("sure", Confidence.VERY_LIKELY, 1),
    ]
    ranked = suspects(case(), [lambda case: made])
    assert titles(ranked) == ["sure", "large", "small", "no size", "not a cause"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_suspect_for_one_subject(order: tuple[int, int]) -> None:
    weak = make("x", Confidence.POSSIBLE, 5, rule="weak")
    strong = make("x", Confidence.CERTAIN, 4, rule="strong")
    rules = [lambda case: [weak], lambda case: [strong]]
    (found,) = suspects(case(), [rules[i] for i in order])
    assert (found.rule, found.bytes) == ("strong", 4)
    assert evidence(found) == ["strong", "x", "weak"]
    assert found.commands == ["strong", "weak"]


def test_without_a_profile_commands_are_those_that_work() -> None:
    without = case(
        sites=cases.SITES.take(np.zeros(0, np.intp)), footprint=None,
        events=[event(order=4)], zones=[TestFragmentation.pieces],
    )  # fmt: skip
    (found,) = suspects(without)
    assert found.commands == ["allocdump usage vmcore --fragmentation --order 4"]


def test_commands_are_quoted() -> None:
    odd = case(footprint=footprint((600,)))
    odd.machine = replace(odd.machine, arguments="'my core'")
    odd.sites = replace(odd.sites, file=np.array(["a'*.c", "", "", ""], np.object_))
    (found,) = large_sites(odd)
    assert found.commands[0] == """allocdump audit 'my core' --all --filter 'a'"'"'[*].c:1'"""
