# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bundled real dumps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from drgn import FaultError, Program

import allocdump
from allocdump.session import Session

TESTDATA = Path(__file__).parent.parent / "testdata"
FOLDERS = sorted(path.parent for path in TESTDATA.glob("*/made.json"))
CORES = sorted(path for folder in FOLDERS for path in folder.glob("vmcore*"))
CORES_WITH_TRUTH = [core for core in CORES if (core.parent / "truth.allocinfo").exists()]


def name(path: Path) -> str:
    """For test IDs: ``7.2-quiet/vmcore``."""
    return str(path.relative_to(TESTDATA))


def core(folder: str, file: str = "vmcore") -> Path:
    return TESTDATA / folder / file


@cache
def open_core(path: Path) -> Session:
    """Opened once per test process; tests must not change its program."""
    return allocdump.open(path, debug_info="btf")


def truth(path: Path) -> str:
    """What the kernel's own iterator printed in the moment of the crash."""
    return (path.parent / "truth.allocinfo").read_text()


def recorded(path: Path) -> Iterator[tuple[str, int, int, int, str, int, str]]:
    """(kind, address, size, line, state, pfn, module) of each allocation a module recorded."""
    for line in (path.parent / "truth.allocations").read_text().splitlines():
        if not line.startswith("#"):
            kind, address, size, at, state, pfn, module = line.split()
            yield kind, int(address, 16), int(size), int(at), state, int(pfn), module


def made(path: Path) -> dict:
    return json.loads((path.parent / "made.json").read_text())


def exclude(prog: Program, address: int, size: int = 1) -> None:
    """Take the pages of some memory out of an opened dump, as makedumpfile would have."""

    def fault(address: int, count: int, offset: int, physical: bool) -> bytes:
        raise FaultError("Excluded page", address)

    start = address & ~4095
    prog.add_memory_segment(start, (address + size - start + 4095) & ~4095, fault)


def overwrite(prog: Program, address: int, data: bytes) -> None:
    """Change some memory of an opened dump, within one page."""
    start = address & ~4095
    page = bytearray(prog.read(start, 4096))
    page[address & 4095 : (address & 4095) + len(data)] = data
    prog.add_memory_segment(
        start, 4096, lambda address, count, offset, physical: bytes(page[offset:][:count])
    )


def run(*args: object, **kwargs) -> subprocess.CompletedProcess:
    """The command line, as a user starts it."""
    command = [sys.executable, "-m", "allocdump", *map(str, args)]
    kwargs = {"capture_output": True, "text": True, "timeout": 120} | kwargs
    return subprocess.run(command, **kwargs)
