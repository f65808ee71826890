# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where results go: standard output, a file, never binary to a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ..dumpdata import core, run

QUIET = str(core("7.2-quiet"))


def test_output_to_a_file_is_what_standard_output_would_get(tmp_path: Path) -> None:
    path = tmp_path / "report"
    done = run("report", QUIET, "--output", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert path.read_text() == run("report", QUIET).stdout


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    done = run("report", QUIET, "-o", tmp_path / "no" / "such" / "place")
    assert done.returncode == 2
    assert done.stderr.endswith("place cannot be written: No such file or directory.\n")
    assert done.stderr.count("\n") == 1


def terminal(*args: object) -> tuple[subprocess.CompletedProcess[str], bytes]:
    """Run with standard output on a terminal: its exit code and what it showed there."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "allocdump", *map(str, args)]
    done = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:
        pass  # the end, on Linux
    os.close(master)
    return done, shown


def test_binary_is_not_for_a_terminal() -> None:
    done, shown = terminal("report", QUIET, "--format", "pprof")
    assert (done.returncode, shown) == (2, b"")
    assert "--output" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_table_is_for_a_terminal_and_without_its_codes_for_a_file(tmp_path: Path) -> None:
    done, shown = terminal("report", QUIET, "--top", 3)
    assert done.returncode == 0
    assert b"\x1b[1m" in shown
    path = tmp_path / "report"
    done, shown = terminal("report", QUIET, "--top", 3, "--output", path)
    assert (done.returncode, shown) == (0, b"")
    assert "\x1b" not in path.read_text()


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "html"])
def test_triage_to_a_file(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "triage"
    done = run("triage", QUIET, "--format", format_, "--output", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert path.read_text() == run("triage", QUIET, "--format", format_).stdout


def test_a_page_is_not_for_a_terminal() -> None:
    done, shown = terminal("triage", QUIET, "--format", "html")
    assert (done.returncode, shown) == (2, b"")
    assert "--output" in done.stderr


def test_a_path_that_is_no_utf_8_is_written_as_it_is(tmp_path: Path) -> None:
    link = os.fsencode(tmp_path) + b"/\xff"
    os.symlink(QUIET, link)
    path = tmp_path / "triage"
    done = run("triage", os.fsdecode(link), "--output", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert b"/\xff" in path.read_bytes()
