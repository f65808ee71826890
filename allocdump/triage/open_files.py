# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of open files."""

from __future__ import annotations

from collections.abc import Iterator

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
        Field("kinds", detail=True),
    ]
    rows: Iterator[list[RecordCell]] = (
        [
            one.bytes, one.pipe_bytes, one.socket_bytes, one.pipes, one.sockets, one.files,
            one.pid, one.comm, ", ".join(f"{kind} {n}" for kind, n in one.kinds.items()),
        ]
        for one in case.files
    )  # fmt: skip
    return Records("open_files", "Open files", columns).fill(rows, top, least)
