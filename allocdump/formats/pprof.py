# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as a gzipped ``profile.proto``, for pprof, Speedscope and Perfetto.

Field numbers are those of ``proto/profile.proto`` of github.com/google/pprof. Bytes and
calls have the names that Go's heap profiles gave them. A tag knows no callers: what stands
in their place is the file, the directory and the module that a site is in.
"""

from __future__ import annotations

import gzip
from typing import Generic, TypeVar

from ..analysis.groups import Groups
from ..analysis.report import Report
from ..analysis.sums import total
from ..kernel.tags.sites import SiteName, Sites
from ..view.header import header
from ..view.sentence import text
from ..view.site import beside
from .protobuf import embedded, number, numbers
from .stack import KERNEL, callers, of_group

SPACE = ("inuse_space", "bytes")
OBJECTS = ("inuse_objects", "count")

K = TypeVar("K", bound=str | tuple[object, ...])


class _Ids(Generic[K]):
    """Numbers things in the order in which they are first asked for."""

    def __init__(self, start: int, *known: K) -> None:
        self.known = {key: i for i, key in enumerate(known, start)}
        self._start = start

    def __call__(self, key: K) -> int:
        return self.known.setdefault(key, self._start + len(self.known))


def render(report: Report, sites: Sites) -> bytes:
    """The given sites, each a sample of two values; sizes are signed, as the kernel's.

    Profiles are added up, so pages whose objects are counted at their sites are left out.
    """
    without = [text(line) for line in beside(total(sites))]
    sites = sites.take(~sites.backing)
    profile = _Profile()
    values = zip(sites.bytes.tolist(), sites.calls.tolist(), strict=True)
    for i, (size, calls) in enumerate(values):
        profile.sample(profile.stack(sites.name(i)), size, calls)
    return _compressed(profile, report, without)


def render_groups(
    report: Report, groups: Groups, size: str = "bytes", calls: str = "calls"
) -> bytes:
    """The given groups, each a sample with a frame for each key.

    :param size: the sum that is bytes
    :param calls: the sum that is a number of allocations
    """
    profile = _Profile()
    for group in groups:
        frames = profile.frames(of_group(groups, group))
        profile.sample(frames, group.sums[size], group.sums[calls])
    return _compressed(profile, report, [])


def _compressed(profile: _Profile, report: Report, remarks: list[str]) -> bytes:
    comments = [header(report), *remarks, *report.warnings]
    time = report.origin.system.crash_time
    return gzip.compress(profile.finished(comments, int(time.timestamp()) if time else 0), mtime=0)


class _Profile:
    """A profile in the making: messages refer to one another by numbers."""

    def __init__(self) -> None:
        self.text = _Ids[str](0, "")  # string 0 is empty by the format's rule
        # Tools take the first mapping for the program: the kernel.
        self._modules = _Ids[str](1, KERNEL)
        self._functions = _Ids[tuple[str, str]](1)
        self._places = _Ids[tuple[object, ...]](1)
        self._out = bytearray()
        for kind, unit in (SPACE, OBJECTS):
            self.add(1, number(1, self.text(kind)) + number(2, self.text(unit)))

    def sample(self, frames: list[int], size: int, calls: int) -> None:
        """Append a sample."""
        self.add(2, numbers(1, frames) + numbers(2, [size, calls]))

    def frames(self, names: tuple[str, ...]) -> list[int]:
        """Numbers of frames that are nothing but names, the innermost first."""
        key = (KERNEL, *names)
        found = [self._place(key[: i + 2], name, "", 0) for i, name in enumerate(names)]
        return found[::-1]

    def add(self, field: int, content: bytes) -> None:
        """Append a message."""
        self._out += embedded(field, content)

    def stack(self, name: SiteName) -> list[int]:
        """Numbers of a site's frames, the innermost first."""
        above = callers(name)
        frames = [self._place(above[: i + 1], frame, "", 0) for i, frame in enumerate(above[:-1])]
        frames.append(self._place(above, above[-1], name.file, 0))
        site = (*above, name.function, name.line)
        frames.append(self._place(site, name.function, name.file, name.line))
        return frames[::-1]

    def _place(self, key: tuple[object, ...], function: str, file: str, line: int) -> int:
        known = key in self._places.known
        i = self._places(key)
        if not known:
            where = number(1, self._functions((function, file))) + number(2, line)
            mapping = number(2, self._modules(str(key[0])))
            self.add(4, number(1, i) + mapping + embedded(4, where))
        return i

    def finished(self, comments: list[str], seconds: int) -> bytes:
        """The message of the whole.

        :param seconds: time of the profile since 1970; 0 is unknown
        """
        # Functions, files and lines are known: nothing needs to look for symbols.
        complete = number(7, True) + number(8, True) + number(9, True)
        for module, i in self._modules.known.items():
            self.add(3, number(1, i) + number(5, self.text(module)) + complete)
        for (function, file), i in self._functions.known.items():
            name = self.text(function)
            names = number(2, name) + number(3, name) + number(4, self.text(file))
            self.add(5, number(1, i) + names)
        self._out += numbers(13, map(self.text, comments))
        self._out += number(14, self.text(SPACE[0])) + number(9, seconds * 1_000_000_000)
        for string in self.text.known:
            self.add(6, string.encode())
        return bytes(self._out)
