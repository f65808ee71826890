# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bundled real dumps."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, TextIO, overload

import pytest
from drgn import FaultError, Object, Program

import allocdump
import allocdump.cli
from allocdump.session import Session
from allocdump.source.program import DebugInfo

TESTDATA = Path(__file__).parent.parent / "testdata"
MADE: dict[Path, dict[str, Any]] = {
    path.parent: json.loads(path.read_text()) for path in TESTDATA.glob("*/made.json")
}
FOLDERS = sorted(MADE)
STOCK = sorted(folder for folder in FOLDERS if MADE[folder].get("profiling") == "none")
"""Of kernels that distributions ship, which know nothing of profiling."""


def dumps_in(folder: Path) -> set[Path]:
    """Returns a folder's dumps, those too that still have to be unpacked (``tests.unpack``)."""
    paths = folder.glob("vmcore*")
    return {path.with_suffix("") if path.suffix == ".zst" else path for path in paths}


CORES = sorted(path for folder in FOLDERS if folder not in STOCK for path in dumps_in(folder))
STOCK_CORES = sorted(path for folder in STOCK for path in dumps_in(folder))
CORES_WITH_TRUTH = [core for core in CORES if (core.parent / "truth.allocinfo").exists()]


def name(path: Path) -> str:
    """For test IDs: ``7.2-quiet/vmcore``."""
    return str(path.relative_to(TESTDATA))


def core(folder: str, file: str = "vmcore") -> Path:
    return TESTDATA / folder / file


_open = allocdump.open


@cache
def _opened(
    core: str, vmlinux: tuple[str, ...], debug_info: DebugInfo, _current_folder: str
) -> Session:
    return _open(core, vmlinux=vmlinux, debug_info=debug_info)


def open_core(
    path: Path | str, vmlinux: Sequence[str] = (), debug_info: DebugInfo = "auto"
) -> Session:
    """Opened once per test process, with all that was read of it; tests must not change it."""
    return _opened(os.fspath(path), tuple(vmlinux), debug_info, os.getcwd())


def _shared_open(
    core: str | None = None,
    *,
    qemu: str | None = None,
    pause: bool = False,
    vmlinux: Sequence[str] = (),
    debug_info: DebugInfo = "auto",
) -> Session:
    """As :func:`allocdump.open`, but bundled dumps are those of :func:`open_core`."""
    bundled = (TESTDATA in Path(os.path.abspath(file)).parents for file in (core or "", *vmlinux))
    if all(bundled) and qemu is None and not pause:
        return open_core(core or "", vmlinux, debug_info)
    return _open(core, qemu=qemu, pause=pause, vmlinux=vmlinux, debug_info=debug_info)


def truth(path: Path) -> str:
    """What the kernel's own iterator printed in the moment of the crash."""
    return (path.parent / "truth.allocinfo").read_text()


def recorded(path: Path) -> Iterator[tuple[str, int, int, int, str, int, str]]:
    """(kind, address, size, line, state, pfn, module) of each allocation a module recorded.

    Addresses are plain ones, whatever tags pointers have.
    """
    for line in (path.parent / "truth.allocations").read_text().splitlines():
        if not line.startswith("#"):
            kind, address, size, at, state, pfn, module, *_ = line.split()
            plain = int(address, 16)
            plain |= 0xFF << 56 if plain & 1 << 55 else 0
            yield kind, plain, int(size), int(at), state, int(pfn), module


def made(path: Path) -> dict[str, Any]:
    return MADE[path.parent]


def page_size(path: Path) -> int:
    """Bytes of a page of the dump's machine, as its maker noted; older dumps are of x86-64."""
    return int(made(path).get("page_size", 4096))


def place(thing: Object) -> int:
    """Address of what is in memory."""
    assert thing.address_ is not None
    return int(thing.address_)


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


def default_signals() -> None:
    """For a new process: as if a terminal had started it, however the tests were started.

    ``nohup`` ignores SIGHUP for all it starts, and ``&`` in a script SIGINT.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


@overload
def process(
    *args: object, text: Literal[True] = True, **how: Any
) -> subprocess.CompletedProcess[str]: ...


@overload
def process(
    *args: object, text: Literal[False], **how: Any
) -> subprocess.CompletedProcess[bytes]: ...


def process(
    *args: object, text: bool = True, **how: Any
) -> subprocess.CompletedProcess[str] | subprocess.CompletedProcess[bytes]:
    """The command line, as a user starts it; *how* is for :func:`subprocess.run`."""
    command = [sys.executable, "-m", "allocdump", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=text, timeout=120, **how)


@overload
def run(
    *args: object, input: str = "", text: Literal[True] = True
) -> subprocess.CompletedProcess[str]: ...


@overload
def run(
    *args: object, input: str = "", text: Literal[False]
) -> subprocess.CompletedProcess[bytes]: ...


def run(
    *args: object, input: str = "", text: bool = True
) -> subprocess.CompletedProcess[str] | subprocess.CompletedProcess[bytes]:
    """The same without a process of its own, and on dumps that are open already.

    For what needs its own terminal, signals, environment or guest, there is :func:`process`.
    """
    words = [str(arg) for arg in args]
    processes = {"shell", "watch", "--qemu", "--live"}.intersection(words)
    assert "--help" in words or not processes, "use process()"
    with _standard_streams(input) as (out, err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["allocdump", *words])
        patch.setattr(allocdump, "open", _shared_open)
        # What a child process said would not be seen.
        patch.setattr("allocdump.cli.options.guarded", lambda core, action: action())
        code = _main()
        sys.stdout.flush()
        sys.stderr.flush()
        said, complained = out.getvalue(), err.getvalue()
    if not text:
        return subprocess.CompletedProcess(words, code, said, complained)
    return subprocess.CompletedProcess(words, code, _as_text(said), _as_text(complained))


def _as_text(raw: bytes) -> str:
    """With the line ends that :mod:`subprocess` gives text."""
    return raw.decode().replace("\r\n", "\n").replace("\r", "\n")


@contextmanager
def _standard_streams(text: str) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Streams in memory, as pipes would be."""
    given, out, err = io.BytesIO(text.encode()), io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(given, encoding="utf-8"))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8"))
        errors = io.TextIOWrapper(
            err, encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        patch.setattr(sys, "stderr", errors)
        yield out, err


def _main() -> int:
    """Run the command line; what it sets for its whole process is set back."""
    level, pipe = logging.getLogger("drgn").level, signal.getsignal(signal.SIGPIPE)
    environment = dict(os.environ)
    try:
        with _warnings_as_usual(), pytest.raises(SystemExit) as end:
            allocdump.cli.main()
    finally:
        logging.getLogger("drgn").setLevel(level)
        signal.signal(signal.SIGPIPE, pipe)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
    assert isinstance(end.value.code, int)
    return end.value.code


@contextmanager
def _warnings_as_usual() -> Iterator[None]:
    """On standard error, as an interpreter of its own shows them, not in pytest's summary."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for silent in (
            DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning,
        ):  # fmt: skip
            warnings.simplefilter("ignore", silent)
        warnings.showwarning = show
        yield
