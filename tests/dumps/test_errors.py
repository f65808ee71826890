# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input: one sentence on stderr, a documented exit code, never a traceback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allocdump.source.build_id import inspect

from ..dumpdata import TESTDATA, core, default_signals, made, process, run
from ..source.test_core import elf_core

QUIET = core("7.2-quiet")


def fails(code: int, *args: object) -> str:
    done = (process if "--live" in args else run)("report", *args)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("allocdump: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_no_such_file(tmp_path: Path) -> None:
    assert "does not exist" in fails(3, tmp_path / "vmcore")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in fails(3, tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.touch()
    assert "is empty" in fails(3, path)


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_text("this is not a dump\n" * 100)
    assert "is not a core dump" in fails(3, path)


def test_elf_that_is_no_core() -> None:
    assert "is an ELF file but not a core dump" in fails(3, sys.executable)


def test_elf_core_of_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(elf_core(8192).ljust(4096 + 8192, b"\0"))
    assert "VMCOREINFO" in fails(3, path)


def test_control_characters_in_a_path_are_not_shown_raw(tmp_path: Path) -> None:
    path = tmp_path / "vm\x1b[31mcore"
    path.write_text("text")
    assert "\x1b" not in fails(3, path)


def test_only_the_header_of_a_flattened_dump(tmp_path: Path) -> None:
    path = tmp_path / "vmcore.flat"
    path.write_bytes(b"makedumpfile".ljust(4096, b"\0"))
    assert "truncated" in fails(3, path)


@pytest.mark.parametrize(
    ("magic", "unpack"),
    [
        (b"\x1f\x8b\x08", "gunzip -k"),
        (b"\xfd7zXZ\0", "unxz -k"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
        (b"\x04\x22\x4d\x18", "unlz4 -k"),
    ],
)
def test_compressed_as_a_whole(tmp_path: Path, magic: bytes, unpack: str) -> None:
    path = tmp_path / "my vmcore.packed"
    path.write_bytes(magic + bytes(4096))
    assert f"{unpack} '{path}'" in fails(3, path)


@pytest.mark.parametrize("kept", [2000, 100_000, 0.5])
def test_truncated(tmp_path: Path, kept: float) -> None:
    size = QUIET.stat().st_size
    path = tmp_path / "vmcore"
    shutil.copy(QUIET, path)
    os.truncate(path, kept if isinstance(kept, int) else int(size * kept))
    assert "truncated" in fails(3, path)


def test_memory_behind_the_end_of_the_file_does_not_end_the_process(tmp_path: Path) -> None:
    """As when the disk was full: libkdumpfile maps the file, which ends at a page's border."""
    path = tmp_path / "vmcore"
    path.write_bytes(core("7.3-tiny").read_bytes()[: 660 << 12])
    done = process("whois", path, "init_task", "--referrers")
    assert done.returncode == 6
    assert "lies behind the end of the file" in done.stderr


def test_truncated_by_little_is_still_reported(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copy(QUIET, path)
    os.truncate(path, path.stat().st_size - 5000)
    done = run("report", path, "--format", "csv")
    assert "truncated" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert done.stdout.count("\n") > 100


def test_kernel_without_profiling_or_btf() -> None:
    message = fails(4, core("tiny-noprofiling"))
    assert "CONFIG_DEBUG_INFO_BTF" in message
    assert "--vmlinux" in message


def test_profiling_never_enabled() -> None:
    message = fails(5, core("tiny-never"))
    assert "never enabled" in message
    assert "sysctl.vm.mem_profiling=1" in message


def test_wrong_vmlinux() -> None:
    """It is told whose build ID is which."""
    vmlinux = TESTDATA / "7.3-tiny" / "vmlinux"
    message = fails(4, QUIET, "--vmlinux", vmlinux)
    wrong, right = inspect(str(vmlinux)).build_id, made(QUIET)["kernel"]["build_id"]
    assert wrong != right
    assert f"its build ID is {wrong}, the dump's is {right}." in message


@pytest.mark.parametrize("file", ["no such file", "/", sys.executable, __file__])
def test_useless_vmlinux(file: str) -> None:
    assert "--vmlinux" in fails(4, QUIET, "--vmlinux", file)


def test_no_vmlinux_to_be_found() -> None:
    assert "--vmlinux" in fails(4, QUIET, "--debug-info", "dwarf")


@pytest.mark.parametrize("args", [[], [QUIET, "--live"]])
def test_core_or_live(args: list[Any]) -> None:
    done = process("report", *args)
    assert done.returncode == 2
    assert "--live" in done.stderr


def test_live_without_kcore_or_root() -> None:
    if os.path.exists("/proc/kcore") and os.geteuid() == 0:
        pytest.skip("this machine may be read")
    assert "/proc/kcore" in fails(3, "--live")


def test_reader_goes_away() -> None:
    shell = f"{sys.executable} -m allocdump report {QUIET} --all | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Linux 7.2")
    assert lines[1] in ("0", "141")


def test_reader_is_gone_before_the_output() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "allocdump", "report", QUIET, "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == -signal.SIGPIPE


def test_interrupt_is_quiet() -> None:
    code = (
        "import allocdump.cli, allocdump.session, signal\n"
        "allocdump.session.Session.report = lambda self: signal.raise_signal(signal.SIGINT)\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", QUIET],
        capture_output=True, text=True, preexec_fn=default_signals,
    )  # fmt: skip
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.strip() == ""


def test_without_the_mask_of_cpus() -> None:
    """Nothing can be summed up then: one sentence, not a traceback."""
    code = (
        "import allocdump.cli, allocdump.session\n"
        "from tests.dumpdata import exclude\n"
        "report = allocdump.session.Session.report\n"
        "def damaged(self):\n"
        "    exclude(self.prog, self.prog.symbol('__cpu_possible_mask').address)\n"
        "    return report(self)\n"
        "allocdump.session.Session.report = damaged\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", QUIET],
        capture_output=True, text=True, cwd=TESTDATA.parent,
    )  # fmt: skip
    assert done.returncode == 6
    assert "The dump lacks memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_notes_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    shutil.copy(QUIET, path)
    with open(path, "r+b") as file:
        file.seek(4096 + 56)
        file.write((1 << 40).to_bytes(8, "little"))
    assert "headers" in fails(3, path)


def test_a_bug_is_one_sentence() -> None:
    code = (
        "import allocdump.cli, allocdump.session\n"
        "allocdump.session.Session.report = lambda self: 1 / 0\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", QUIET], capture_output=True, text=True
    )
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert "ALLOCDUMP_DEBUG" in done.stderr
