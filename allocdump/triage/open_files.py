# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open files as a table, and in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from ..sentence import Sentence, say
from .evidence import Evidence
from .verdict import Field, RecordCell, Records


def open_files_table(case: Evidence, top: int | None, least: float) -> Records:
    """Tasks by what their pipes and sockets hold."""
    columns = [
        Field("bytes", "bytes", "held"),
        Field("pipe_bytes", "bytes", "in pipes"),
        Field("socket_bytes", "bytes", "in sockets"),
        Field("pipes", "count"),
        Field("sockets", "count"),
        Field("files", "count"),
        Field("pid", "number"),
        Field("comm", title="task"),
        Field("protocols", detail=True),
        Field("kinds", detail=True),
    ]
    rows: Iterator[list[RecordCell]] = (
        [
            one.bytes, one.pipe_bytes, one.socket_bytes, one.pipes, one.sockets, one.files,
            one.pid, one.comm, _listed(one.protocols), _listed(one.kinds),
        ]
        for one in case.files
    )  # fmt: skip
    return Records("open_files", "Open files", columns).fill(rows, top, least)


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in numbers.items())


_MANY = 1000
"""Fewer open files than that hold no machine's memory."""


def most_open_files(case: Evidence, objects: int) -> list[Sentence]:
    """The task with most open files, as evidence about memory that its files may hold.

    :param objects: number of allocations that this is about: fewer files than a quarter of
        that explain little
    """
    top = max(case.files, key=lambda one: one.files, default=None)
    whole = sum(one.files for one in case.files)
    if top is None or top.files < _MANY or 2 * top.files < whole or 4 * top.files < objects:
        return []
    kinds = ", ".join(f"{kind} {n:,}" for kind, n in list(top.kinds.items())[:3])
    return [
        say(
            "task {comm} (pid {pid:number}) has {n:count} of all {all:count open file}: {kinds}",
            comm=top.comm,
            pid=top.pid,
            n=top.files,
            all=whole,
            kinds=kinds,
        )
    ]
