# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules for memory in pipes and sockets, which only open files lead to."""

from __future__ import annotations

from ...confidence import Confidence
from ...kernel.machine.open_files import OpenFiles
from ...sentence import Sentence, say
from ..cgroups import largest_cgroup
from ..commands import more
from ..evidence import Evidence
from ..groups import suspicious_groups
from ..shortage import machine_short
from ..thresholds import LARGE, MOST
from ..verdict import Suspect

_TOGETHER = "pipes and sockets"
_UNEXPLAINED = ("other pages without a site", "large kmalloc")
"""Classes of usage that pages of pipes and packets are in, without a profile."""


def open_files(case: Evidence) -> list[Suspect]:
    """Tasks keep much in pipes and sockets: nobody reads what was written.

    With a profile, that is what the call sites of pipes, or of packets, have been called for.
    """
    whole = sum(one.bytes for one in case.files)
    if whole > case.managed - case.free:
        return []  # damaged: it cannot be
    large = [one for one in case.files if case.share(one.bytes) >= LARGE]
    if large:
        return [
            _suspect(case, one.bytes, _subject(case, one), _title(case, one), *_protocols(one))
            for one in large
        ]
    if case.share(whole) < LARGE:
        return []
    holding = [one for one in case.files if one.bytes]
    title = say(
        "PIPES AND SOCKETS of {n:count task}: {size:bytes}, {share:share} of memory",
        n=len(holding),
        size=whole,
        share=case.share(whole),
    )
    largest = say(
        "most is kept by task {comm} (pid {pid:number}): {size:bytes}",
        comm=holding[0].comm,
        pid=holding[0].pid,
        size=holding[0].bytes,
    )
    return [_suspect(case, whole, _TOGETHER, title, largest)]


def _subject(case: Evidence, one: OpenFiles) -> str:
    """The group of sites that allocates what the task's pipes, or its sockets, hold; else the
    task."""
    pipes = one.pipe_bytes >= one.socket_bytes
    for group in suspicious_groups(case):
        theirs = group.key == "fs/pipe.c" if pipes else group.key.startswith("net/")
        if theirs and MOST * group.bytes <= one.bytes:
            return group.key
    return f"task:{one.pid}"


def _protocols(one: OpenFiles) -> list[Sentence]:
    if not one.socket_bytes or not one.protocols:
        return []
    kinds = ", ".join(f"{name} {n:,}" for name, n in list(one.protocols.items())[:3])
    return [say("its sockets by protocol: {kinds}", kinds=kinds)]


def _title(case: Evidence, one: OpenFiles) -> Sentence:
    what, where = "PIPES AND SOCKETS", "{pipes:count pipe} and {sockets:count socket}"
    if not one.socket_bytes:
        what, where = "PIPES", "{pipes:count pipe}"
    elif not one.pipe_bytes:
        what, where = "SOCKETS", "{sockets:count socket}"
    return say(
        what
        + " of task {comm} (pid {pid:number}): {size:bytes} in "
        + where
        + ", {share:share} of memory",
        comm=one.comm,
        pid=one.pid,
        size=one.bytes,
        pipes=one.pipes,
        sockets=one.sockets,
        share=case.share(one.bytes),
    )


def _suspect(
    case: Evidence, size: int, subject: str, title: Sentence, *evidence: Sentence
) -> Suspect:
    holder = next(one for one in case.files if one.bytes)
    rest = case.class_bytes(*_UNEXPLAINED)
    # Call sites say more, unless they are those of the files.
    cause = machine_short(case) and (not len(case.sites) or not _of_task(subject))
    told = list(evidence)
    if rest and not len(case.sites):
        told.append(
            say(
                "pages that are no slabs, page tables, page cache or memory of tasks: {rest:bytes}",
                rest=rest,
            )
        )
    return Suspect(
        rule="open_files",
        subject=subject,
        title=title,
        confidence=_confidence(case, size, rest) if cause else Confidence.POSSIBLE,
        bytes=size,
        cause=cause,
        evidence=told + largest_cgroup(case),
        commands=more(case),
        advice=say("find out why nobody reads what {comm} has written", comm=holder.comm),
    )


def _of_task(subject: str) -> bool:
    return subject.startswith("task:") or subject == _TOGETHER


def _confidence(case: Evidence, size: int, rest: int) -> Confidence:
    """Confidence in what explains the rest of memory; 0 is unknown.

    What sockets are charged with may be pages of files and tasks, which are no such rest; small
    packets are slab objects.
    """
    if len(case.sites):
        return Confidence.VERY_LIKELY if case.share(size) >= MOST else Confidence.LIKELY
    room = rest + case.class_bytes("slab")
    if rest and size >= MOST * rest and room >= MOST * size:
        return Confidence.VERY_LIKELY
    return Confidence.LIKELY


def unexplained_pages(case: Evidence) -> list[Suspect]:
    """Most of memory is pages that nothing explains, and there is no profile."""
    if len(case.sites):
        return []
    explained = sum(one.bytes for one in case.files)
    size = case.class_bytes(_UNEXPLAINED[0]) - explained
    if case.share(size) < MOST:
        return []
    return [
        Suspect(
            rule="unexplained_pages",
            subject="unexplained",
            title=say(
                "PAGES THAT NOTHING EXPLAINS: {size:bytes}, {share:share} of memory; no slab, page"
                " table, cache or task has them (pipe buffers, socket buffers, vmalloc, drivers)",
                size=size,
                share=case.share(size),
            ),
            confidence=Confidence.POSSIBLE,
            bytes=size,
            cause=False,
            commands=more(case),
        )
    ]
