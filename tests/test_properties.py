# SPDX-License-Identifier: LGPL-2.1-or-later
"""Parsers of our own take anything: they give an answer, or the error that they document."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocdump.errors import DumpError
from allocdump.formats.saved import NotAReportError, parse_report
from allocdump.kernel.machine.log import KernelLog
from allocdump.kernel.machine.oom import allocation_failures, oom_events
from allocdump.kernel.tags.header import parse_listing
from allocdump.source.btf import Btf, BtfError, BtfKind
from allocdump.source.core import identify
from allocdump.source.flattened import Flattened
from allocdump.source.image import ranges
from allocdump.source.in_memory import texts
from allocdump.source.vmcoreinfo import VmcoreInfo

from .dumpdata import core, open_core
from .kdump import flattened
from .source.test_btf import Builder

few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same examples each time, in about a second for each test."""

WORDS = st.sampled_from([0, 1, 255, 4095, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
CHANGES = st.lists(st.tuples(st.floats(0, 1), WORDS | st.integers(0, (1 << 32) - 1)), max_size=4)
"""Words of 32 bits at places anywhere, from 0 for the beginning to 1 for the end."""


def changed(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    out = bytearray(data)
    for where, word in changes:
        at = int(where * (len(out) - 4)) & -4
        out[at : at + 4] = word.to_bytes(4, "little")
    return bytes(out)


@cache
def btf() -> bytes:
    made = Builder()
    number = made.int()
    array = made.add(BtfKind.ARRAY, trailer=[number, number, 3])
    made.add(BtfKind.STRUCT, "pair", 16, [("a", number, 0), ("b", array, 32)])
    made.add(BtfKind.ENUM, "colours", 4, [("RED", 7)])
    made.add(BtfKind.FUNC_PROTO, "", number, [("x", number)])
    made.add(BtfKind.TYPEDEF, "again", number)
    return made.data()


@few
@given(CHANGES, st.integers(0, 400))
def test_btf(changes: list[tuple[float, int]], end: int) -> None:
    data = changed(btf(), changes)[: len(btf()) if end > 300 else end]
    try:
        read = Btf(data)
    except BtfError:
        return
    for number in range(len(read)):
        with suppress(BtfError):
            record = read.record(number)
            match record.kind:
                case BtfKind.STRUCT | BtfKind.UNION:
                    read.members(record)
                case BtfKind.ENUM | BtfKind.ENUM64:
                    read.enumerators(record)
                case BtfKind.FUNC_PROTO:
                    read.parameters(record)
                case BtfKind.ARRAY:
                    read.array(record)
                case BtfKind.INT:
                    read.int_encoding(record)
    with suppress(BtfError):
        read.find_enumerator("RED")


@cache
def headers() -> bytes:
    return core("7.3-after").read_bytes()[:20_000]


@few
@given(st.sampled_from(["kdump", "flattened", "elf", "lime", "avml", "raw"]), CHANGES, st.data())
def test_headers(form: str, changes: list[tuple[float, int]], data: st.DataObject) -> None:
    made: dict[str, Callable[[], bytes]] = {
        "kdump": headers,
        "flattened": lambda: flattened(headers(), 4000),
        "elf": lambda: b"\x7fELF\2\1\1".ljust(16, b"\0") + bytes([4, 0, 62, 0, 1]) + bytes(400),
        "lime": lambda: struct.pack("<4sIQQ8x", b"EMiL", 1, 0, 99) + bytes(100),
        "avml": lambda: (
            struct.pack("<4sIQQ8x", b"AVML", 2, 0, 99) + b"\xff\6\0\0sNaPpY" + bytes(99)
        ),
        "raw": lambda: bytes(9999),
    }
    whole = made[form]()
    path = PLACE / form
    path.write_bytes(changed(whole, changes)[: data.draw(st.integers(0, len(whole)))])
    with suppress(DumpError):
        found = identify(path)
        assert found.missing_bytes >= 0
        if found.format in ("LiME", "AVML"):
            assert all(extent.size > 0 for extent in ranges(str(path)).extents)


PLACE = Path()


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(__name__ + ".PLACE", tmp_path)


PIECES = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=50)), max_size=8)


@few
@given(PIECES)
def test_pieces_of_a_flattened_dump(pieces: list[tuple[int, bytes]]) -> None:
    """What comes later replaces what came before."""
    expected, file = bytearray(), bytearray(b"makedumpfile".ljust(4096, b"\0"))
    for at, part in pieces:
        expected.extend(bytes(max(0, at + len(part) - len(expected))))
        expected[at : at + len(part)] = part
        file += struct.pack(">qq", at, len(part)) + part
    path = PLACE / "flat"
    path.write_bytes(file + struct.pack(">qq", -1, -1))
    with path.open("rb") as opened:
        inner = Flattened(opened)
        assert inner.whole
        assert inner.read() == bytes(expected)


LINES = st.lists(
    st.sampled_from([
        b"allocinfo - version: 1.0", b"#     <size>  <calls> <tag info>",
        b"    4096        1 mm/a.c:12 func:f", b"  1 2 lib/b.c:3 [mod] func:g", b"-1 1 a:1 func:f",
        b"99999999999999999999999 1 a.c:1 func:f", b"1 1 a.c:99999999999999 func:f", b"x", b"",
    ]) | st.binary(max_size=40),
    max_size=12,
)  # fmt: skip


@few
@given(LINES)
def test_allocinfo(lines: list[bytes]) -> None:
    found = parse_listing(b"\n".join(lines))
    assert len(found.sites) + found.unreadable <= len(b"\n".join(lines).split(b"\n"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


SAVED = {
    "schema": "allocdump.report", "version": 2, "group_by": "site",
    "kernel": {"release": "7.3", "crash_time": "2026-01-02T03:04:05Z", "crash_reason": "panic"},
    "total": {"bytes": 5, "calls": 1, "sites": 1, "left_out": [{"bytes": 1}]},
    "rows": [
        {"file": "mm/a.c", "line": 1, "function": "f", "module": None, "bytes": 5, "calls": 1,
         "evidence": "counter", "inaccurate": False, "unloaded": False, "inferred_name": False},
    ],
    "warnings": ["x"],
}  # fmt: skip


@few
@given(st.data(), JSON)
def test_saved_reports(data: st.DataObject, value: object) -> None:
    document = json.loads(json.dumps(SAVED))
    where = document
    while isinstance(where, dict | list) and where:
        key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else [0]))
        if data.draw(st.booleans()) or not isinstance(where[key], dict | list):
            where[key] = value
            break
        where = where[key]
    with suppress(NotAReportError):
        found = parse_report(json.dumps(document).encode())
        assert (found.sites.bytes >= 0).all()


@cache
def log() -> list[bytes]:
    return open_core(core("6.12-oom")).log.text.splitlines()


@few
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 200)), max_size=60))
def test_kernel_log(lines: list[tuple[int, int]]) -> None:
    """Lines of a real one in any order, each cut somewhere."""
    whole = log()[-400:]
    found = KernelLog(b"\n".join(whole[number % len(whole)][:end] for number, end in lines))
    found.panic_message()
    found.unload_messages()
    found.uptime()
    oom_events(found)
    allocation_failures(found)


@few
@given(
    st.lists(st.binary(max_size=60) | st.just(b"OSRELEASE=6.1\nA=1\n"), max_size=6), st.booleans()
)
def test_vmcoreinfo(parts: list[bytes], as_note: bool) -> None:
    text = b"OSRELEASE=" + b"\n".join(parts)
    info = VmcoreInfo.parse(text)
    assert info.text("OSRELEASE").isprintable() or not info.text("OSRELEASE")
    head = struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO") if as_note else b""
    for found in texts([(head + text)[:4096].ljust(4096, b"\0")]):
        assert found.startswith(b"OSRELEASE=")
