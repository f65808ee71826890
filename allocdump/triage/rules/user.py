# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rule for memory of user tasks: it is not the kernel's fault."""

from __future__ import annotations

from ...confidence import Confidence
from ...sentence import Sentence, say
from ..cgroups import largest_cgroup
from ..commands import more
from ..evidence import Evidence
from ..shortage import machine_short
from ..thresholds import MOST, WHOLE
from ..verdict import Suspect

_HUGE = "huge pages (hugetlb)"
_CLASSES = ("anonymous memory", "shared memory and tmpfs", _HUGE)
"""Of usage: user memory that cannot simply be dropped, as page cache can."""


def user_memory(case: Evidence) -> list[Suspect]:
    """User memory rather than kernel memory filled the machine."""
    if case.usage is None:
        return _without_account(case)
    size = case.class_bytes(*_CLASSES)
    if not machine_short(case) or case.share(size) < MOST:
        return []
    evidence = [
        *_largest(case, size),
        *(
            say("{name}: {size:bytes}", name=name, size=case.class_bytes(name))
            for name in _CLASSES
            if case.class_bytes(name)
        ),
    ]
    idle = _idle_huge_pages(case)
    if idle:
        evidence.append(say("huge pages that wait in their pool, unused: {size:bytes}", size=idle))
    kernel = int(case.suspicious.sum())
    if kernel:
        evidence.append(
            say(
                "all call sites of the kernel together keep {size:bytes}, {share:share}",
                size=kernel,
                share=case.share(kernel),
            )
        )
    if case.swap and case.swap.total:
        evidence.append(
            say(
                "swap: {used:bytes} of {total:bytes} used",
                used=case.swap.used,
                total=case.swap.total,
            )
        )
    return [
        Suspect(
            rule="user_memory",
            subject="user memory",
            title=_title(case, size),
            confidence=Confidence.VERY_LIKELY,
            bytes=size,
            evidence=evidence,
            commands=more(case),
            advice=_advice(case, size),
        )
    ]


def _without_account(case: Evidence) -> list[Suspect]:
    """Where the memory of the machine is unreadable, a task or a tmpfs may have most of it all
    the same."""
    used = case.managed - case.free
    titles: list[tuple[int, str, Sentence]] = []
    for files in case.tmpfs[:1]:
        title = say(
            "USER MEMORY, files in tmpfs {mount}: {size:bytes}, {share:share} of memory",
            mount=files.mount,
            size=files.bytes,
            share=case.share(files.bytes),
        )
        titles.append((files.bytes, f"tmpfs:{files.mount}", title))
    for top in case.tasks[:1]:
        title = say(
            "USER MEMORY of task {comm} (pid {pid:number}): {size:bytes}, {share:share} of memory",
            comm=top.comm,
            pid=top.pid,
            size=top.anon,
            share=case.share(top.anon),
        )
        titles.append((top.anon, f"task:{top.pid}", title))
    return [
        Suspect(
            rule="user_memory",
            subject=subject,
            title=title,
            confidence=Confidence.LIKELY,
            bytes=size,
            evidence=largest_cgroup(case),
            commands=more(case),
        )
        for size, subject, title in titles
        if machine_short(case) and case.share(size) >= MOST and size <= used
    ]


def _idle_huge_pages(case: Evidence) -> int:
    """Bytes of huge pages that nobody has."""
    if case.usage is None:
        return 0
    pools = (node for node in case.usage.children if node.name == _HUGE)
    parts = (part for pool in pools for of_size in pool.children for part in of_size.children)
    return sum(part.bytes for part in parts if part.name == "free")


def _advice(case: Evidence, size: int) -> Sentence:
    if _idle_huge_pages(case) >= MOST * size:
        return say("make the pool of huge pages smaller: vm.nr_hugepages")
    if _most_is_a_task(case, size):
        return say("find out why {comm} needs so much, or limit it", comm=case.tasks[0].comm)
    if _most_is_shared(case, size):
        return say(
            "find out who fills {mount}, or limit its size when it is mounted",
            mount=case.tmpfs[0].mount,
        )
    return say("give the machine more memory, or its tasks less work")


def _most_is_a_task(case: Evidence, size: int) -> bool:
    return bool(case.tasks) and case.tasks[0].anon >= MOST * size


def _most_is_shared(case: Evidence, size: int) -> bool:
    shmem = case.class_bytes("shared memory and tmpfs")
    return bool(case.tmpfs) and shmem >= MOST * size and not _most_is_a_task(case, size)


def _largest(case: Evidence, size: int) -> list[Sentence]:
    """The largest tmpfs, if it counts, and the largest task."""
    out = []
    if _most_is_shared(case, size):
        files = case.tmpfs[0]
        out.append(
            say(
                "largest tmpfs: {mount}, {n:count file} with {size:bytes}",
                mount=files.mount,
                n=files.files,
                size=files.bytes,
            )
        )
    if case.tasks:
        top = case.tasks[0]
        out.append(
            say(
                "largest task: {comm} (pid {pid:number}), {rss:bytes} resident, {swap:bytes} in"
                " swap, oom_score_adj {adj:number}",
                comm=top.comm,
                pid=top.pid,
                rss=top.rss,
                swap=top.swap,
                adj=top.oom_score_adj,
            )
        )
    return out


def _title(case: Evidence, size: int) -> Sentence:
    """Title with the task, or the tmpfs, that has most of it."""
    values = {"size": size, "share": case.share(size)}
    whole = "{size:bytes}, {share:share} of memory"
    if _most_is_a_task(case, size):
        top = case.tasks[0]
        return say(
            "USER MEMORY, most of it of task {comm} (pid {pid:number}), {rss:bytes}: " + whole,
            **values, comm=top.comm, pid=top.pid, rss=top.rss,
        )  # fmt: skip
    shmem = case.class_bytes("shared memory and tmpfs")
    if _most_is_shared(case, size) and case.tmpfs[0].bytes >= WHOLE * shmem:
        files = case.tmpfs[0]
        return say(
            "USER MEMORY, most of it files in tmpfs {mount} with {files:bytes}: " + whole,
            **values, mount=files.mount, files=files.bytes,
        )  # fmt: skip
    if _idle_huge_pages(case) >= MOST * size:
        idle = _idle_huge_pages(case)
        return say(
            "HUGE PAGES that nobody uses: {idle:bytes} wait in their pool; with all user memory, "
            + whole,
            **values, idle=idle,
        )  # fmt: skip
    return say("USER MEMORY, not the kernel's: " + whole, **values)
