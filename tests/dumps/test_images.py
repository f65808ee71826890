# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images of memory, which have no notes: commands answer as on the vmcore."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import allocdump
from allocdump.source import opening
from allocdump.source.core import identify

from .. import images, kdump
from ..dumpdata import core, run

DUMP = core("7.3-after")
FORMATS: dict[str, Callable[[], bytes]] = {
    "LiME": lambda: images.lime(kdump.read(DUMP).pages),
    "AVML": lambda: images.avml(kdump.read(DUMP).pages),
    "elf": lambda: kdump.elf(kdump.read(DUMP), notes=b""),
    "kdump": lambda: kdump.kdump(kdump.read(DUMP).without_notes()),
}
"""What has no VMCOREINFO but the one in memory."""


def answer(path: Path) -> str:
    """All memory by class and site, for which most of a dump is read."""
    done = run("usage", path, "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_answer(form: str, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(FORMATS[form]())
    assert identify(path).format == form
    assert answer(path) == answer(DUMP)


def test_memory_alone(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    images.write_raw(path, kdump.read(DUMP).pages)
    assert identify(path).format == "raw"
    assert answer(path) == answer(DUMP)
    report = run("report", DUMP, "--format", "csv").stdout
    done = run("diff", DUMP, path, "--format", "json")
    assert done.returncode == 0
    assert report.startswith("file")


def gap() -> tuple[int, int]:
    """The longest range of page frames that are not in the dump: a hole may take its place."""
    last, following = max(pairwise(kdump.read(DUMP).pages), key=lambda pair: pair[1] - pair[0])
    return last + 1, following


def test_a_hole_where_the_machine_has_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end = gap()
    assert end - start > 2048
    where = kdump.PAGE * start
    layouts = [((0, 0), (kdump.PAGE * behind, where)) for behind in (end + 256, end)]
    monkeypatch.setattr(opening, "BELOW_4_GIB", layouts)
    path = tmp_path / "guest.vmem"
    pages = kdump.read(DUMP).pages
    images.write_raw(path, pages, lambda frame: frame - (end - start if frame >= end else 0))
    assert answer(path) == answer(DUMP)


def refusal(path: Path, command: str = "report") -> str:
    done = run(command, path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("what", ["zeros", "noise", "text"])
def test_a_file_that_is_nothing(tmp_path: Path, what: str) -> None:
    path = tmp_path / "file"
    fill = {"zeros": bytes(4096), "noise": os.urandom(4096), "text": b"OSRELEASE=6.12\nA=1\n"}[what]
    path.write_bytes(fill.ljust(4096, b"\0") * 2048)
    assert ("neither a core dump" in refusal(path)) == (what != "text")
    path.write_bytes(fill * 20)
    assert "is not a core dump" in refusal(path)


def test_memory_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    pages = kdump.read(DUMP).pages
    images.write_raw(path, {frame: page for frame, page in pages.items() if frame < 30000})
    assert "its memory is cut" in refusal(path)
    path.write_bytes(images.lime(pages)[:-5000])
    assert "5,000 bytes are missing" in run("report", path).stderr


@pytest.mark.parametrize("at", [0, 4, 8, 16])
def test_damaged_headers(tmp_path: Path, at: int) -> None:
    path = tmp_path / "memory"
    pages = {1: bytes(4096), 9999: b"1" * 4096}
    for data in (images.lime(pages), images.avml(pages)):
        second = data.find(data[:4], 1)
        where = max(second, 0) + at
        path.write_bytes(data[:where] + b"\xff" * 8 + data[where + 8 :])
        assert refusal(path)


def test_damaged_chunks(tmp_path: Path) -> None:
    path = tmp_path / "memory.avml"
    data = bytearray(images.avml(kdump.read(DUMP).pages))
    data[len(data) // 2 : len(data) // 2 + 4] = b"\xff" * 4
    path.write_bytes(data)
    done = run("usage", path)
    assert done.returncode in (0, 3, 4, 6)
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_two_kernels(tmp_path: Path) -> None:
    """Both of which their own page tables lead to: one is left from before a reboot."""
    path = tmp_path / "memory"
    whole = kdump.read(DUMP)
    frame, _ = gap()
    text = whole.vmcoreinfo.partition(b"CRASHTIME")[0]
    text = text.replace(b"NUMBER(PG_lru)=5", b"NUMBER(PG_lru)=6")
    images.write_raw(path, {**whole.pages, frame: text.ljust(4096, b"\0")})
    assert "holds 2 kernels (Linux 7.3.4, 7.3.4)" in refusal(path)
    # One whose page tables lead nowhere is of no matter: it is only text.
    text = text.replace(b"SYMBOL(init_uts_ns)=ffffffff", b"SYMBOL(init_uts_ns)=fffffff0")
    images.write_raw(path, {**whole.pages, frame: text.ljust(4096, b"\0")})
    assert allocdump.open(path).source.vmcoreinfo.number("PG_lru") == 5


def test_a_note_of_another_kernel(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    whole = kdump.read(DUMP)
    text = whole.vmcoreinfo
    for old, new in (
        (b"SYMBOL(init_uts_ns)=ffffffff", b"SYMBOL(init_uts_ns)=fffffff0"),
        (b"OSRELEASE=7.3.4", b"OSRELEASE=6.1.0"),
        (b"NUMBER(phys_base)=-", b"NUMBER(phys_base)=1"),
    ):
        assert old in text
        path.write_bytes(kdump.elf(whole, whole.notes.replace(text, text.replace(old, new))))
        done = run("report", path, "--format", "csv")
        assert done.returncode == 0
        assert done.stdout == run("report", DUMP, "--format", "csv").stdout
        assert "VMCOREINFO note is of another kernel" in done.stderr


def test_an_image_of_a_kernel_that_ran(tmp_path: Path) -> None:
    path = tmp_path / "guest.vmem"
    panic, other = b"Kernel panic - not syncing", b"Kernel said - nothing more"
    pages = kdump.read(DUMP).pages
    images.write_raw(path, {frame: page.replace(panic, other) for frame, page in pages.items()})
    torn = "the image is of many moments"
    opened = allocdump.open(path)
    assert opened.may_be_torn
    assert torn in " ".join(opened.warnings)
    path.with_suffix(".vmsn").write_bytes(struct.pack("<I", 0xBED2BED2) + bytes(100))
    opened = allocdump.open(path)
    assert not opened.may_be_torn
    assert opened.warnings == []
    assert f"name {path}." in refusal(path.with_suffix(".vmsn"))
    path.unlink()
    assert "name the .vmem file" in refusal(path.with_suffix(".vmsn"))


@pytest.mark.parametrize("folder", ["arm64-16k", "arm64-64k-compressed", "arm64-oom"])
def test_a_dump_without_notes_of_another_processor(folder: str, tmp_path: Path) -> None:
    """Its page frames have the size that its header tells."""
    data, path = bytearray(core(folder).read_bytes()), tmp_path / "vmcore"
    kdump.clear_notes(data)
    path.write_bytes(data)
    assert run("report", path, "--format", "csv").stdout == (
        run("report", core(folder), "--format", "csv").stdout
    )
