# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as a gzipped ``profile.proto``, for pprof, Speedscope and Perfetto.

Field numbers are those of ``proto/profile.proto`` of github.com/google/pprof. Bytes and
calls have the names that Go's heap profiles gave them. A site is a stack of one frame,
since a tag knows no callers; its directory and module are labels, of which pprof makes
frames when asked (``-tagroot=directory``).
"""

from __future__ import annotations

import gzip
from typing import Generic, TypeVar

from ..analysis.report import Report, directory
from ..kernel.tags.sites import Sites
from ..view.header import header
from .protobuf import embedded, number, numbers

KERNEL = "[kernel]"
SPACE = ("inuse_space", "bytes")
OBJECTS = ("inuse_objects", "count")

K = TypeVar("K", bound=str | tuple[str, str])


class _Ids(Generic[K]):
    """Numbers things in the order in which they are first asked for."""

    def __init__(self, start: int, *known: K) -> None:
        self.known = {key: i for i, key in enumerate(known, start)}
        self._start = start

    def __call__(self, key: K) -> int:
        return self.known.setdefault(key, self._start + len(self.known))


def render(report: Report, sites: Sites) -> bytes:
    """The given sites, each a sample of two values; sizes are signed, as the kernel's."""
    text = _Ids(0, "")  # string 0 is empty by the format's rule
    modules = _Ids(1, "")  # tools take the first mapping for the program: the kernel
    functions: _Ids[tuple[str, str]] = _Ids(1)
    out = bytearray()
    for kind, unit in (SPACE, OBJECTS):
        out += embedded(1, number(1, text(kind)) + number(2, text(unit)))
    columns = (
        sites.file, sites.line.tolist(), sites.function, sites.module,
        sites.bytes.tolist(), sites.calls.tolist(),
    )  # fmt: skip
    for i, (file, line, function, module, size, calls) in enumerate(zip(*columns, strict=True), 1):
        out += embedded(
            2,
            numbers(1, [i])
            + numbers(2, [size, calls])
            + _label("directory", directory(file, module), text)
            + _label("module", module, text),
        )
        where = number(1, functions((function, file))) + number(2, line)
        out += embedded(4, number(1, i) + number(2, modules(module)) + embedded(4, where))
    # Functions, files and lines are known: nothing needs to look for symbols.
    known = number(7, True) + number(8, True) + number(9, True)
    for module, i in modules.known.items():
        out += embedded(3, number(1, i) + number(5, text(module or KERNEL)) + known)
    for (function, file), i in functions.known.items():
        name = text(function)
        out += embedded(5, number(1, i) + number(2, name) + number(3, name) + number(4, text(file)))
    out += numbers(13, map(text, [header(report), *report.warnings]))  # comments
    out += number(14, text(SPACE[0]))
    if time := report.origin.system.crash_time:
        out += number(9, int(time.timestamp()) * 1_000_000_000)
    out += b"".join(embedded(6, string.encode()) for string in text.known)
    return gzip.compress(out, mtime=0)


def _label(key: str, value: str, text: _Ids[str]) -> bytes:
    return embedded(3, number(1, text(key)) + number(2, text(value))) if value else b""
