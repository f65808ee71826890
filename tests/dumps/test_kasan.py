# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tracks of KASAN against the reports that it printed just before the kernel died."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from allocdump.session import Session

from ..dumpdata import TESTDATA, core, open_core

FOLDER = "7.3-kasan"

_TRACK = re.compile(
    r"(?P<what>Allocated|Freed) by task (?P<pid>\d+) on cpu (?P<cpu>\d+) at (?P<time>[0-9.]+)s:\n"
    r"(?P<stack>(?: .*\n)+)"
)
_OBJECT = re.compile(
    r"belongs to the object at (?P<at>[0-9a-f]+)\n which belongs to the cache (?P<cache>\S+) of"
    r"(?s:.*?)(?P<state>freed|allocated) \d+-byte region"
)
OF_INIT = "touched_init"
"""The module's memory that this was in is given back after it."""


@dataclass
class Told:
    """What a report says of an object."""

    address: int
    cache: str
    freed: bool
    what: str
    pid: int
    cpu: int
    seconds: float
    stack: list[str]


def reports() -> Iterator[Told]:
    text = (TESTDATA / FOLDER / "console.txt").read_text(errors="replace")
    text = re.sub(r"^\[ *[0-9.]+\]\r? ?", "", text.replace("\r", ""), flags=re.M)
    for report in text.split("BUG: KASAN: ")[1:]:
        track, of = _TRACK.search(report), _OBJECT.search(report)
        assert track
        assert of
        frames = [line.strip().partition("/")[0] for line in track["stack"].splitlines()]
        yield Told(
            int(of["at"], 16), of["cache"], of["state"] == "freed", track["what"].lower(),
            int(track["pid"]), int(track["cpu"]), float(track["time"]), frames,
        )  # fmt: skip


@pytest.fixture(scope="module")
def dump() -> Session:
    return open_core(core(FOLDER))


def test_tracks_are_those_that_the_kernel_printed(dump: Session) -> None:
    told = list(reports())
    assert len(told) == 8
    assert {one.what for one in told} == {"allocated", "freed"}
    for one in told:
        layer = dump.whois(one.address).layers[0]
        assert layer.detail["cache"] == one.cache
        assert layer.detail["state"] == ("free" if one.freed else "allocated")
        (event,) = (e for e in layer.history if e.what == one.what)
        assert (event.source, event.pid, event.cpu) == ("kasan", one.pid, one.cpu)
        assert event.seconds is not None
        assert abs(event.seconds - one.seconds) < 2e-6
        stack = [place.label for place in event.stack]
        assert len(stack) == len(one.stack)
        for found, frame in zip(stack, one.stack, strict=True):
            assert found == frame or frame.startswith(OF_INIT)


def test_the_call_site_is_behind_the_frames_of_kasan(dump: Session) -> None:
    names = {str(name) for name in dump.origins.file}
    assert not [name for name in names if name.lstrip("_").startswith("kasan_")]
    assert [name for name in names if name.startswith("alloc_inode")]


def test_what_is_in_quarantine_is_free(dump: Session) -> None:
    """The allocator takes it to be in use, and nothing points to it: it is no leak."""
    kept = dump.pagemap.stacks
    quarantined = 0
    for part in dump.pagemap:
        for objects in part.objects():
            used = objects.site >= 0
            assert not kept.freed(objects.address[used]).any()
            quarantined += int(kept.freed(objects.address[~used]).sum())
    assert quarantined > 100
    freed = {one.address for one in reports() if one.freed}
    assert freed.isdisjoint(dump.leaks().lost.chief.tolist())
