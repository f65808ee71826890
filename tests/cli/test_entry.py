# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first words of a command line: commands, files, mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..dumpdata import core, process, run

OOM, TINY = core("6.12-oom"), core("7.3-tiny")
VMLINUX = TINY.parent / "vmlinux"
FIRST = ("--top", "1", "--format", "csv")


def test_a_dump_alone_is_triage() -> None:
    done = run(OOM)
    assert done.returncode == 0
    assert done.stdout == run("triage", OOM).stdout
    assert run(OOM, "--top", "2").stdout == run("triage", OOM, "--top", "2").stdout
    assert run("--top", "2", OOM).stdout == run("triage", OOM, "--top", "2").stdout


def test_options_of_no_command_are_those_of_triage() -> None:
    done = run("--pause", OOM)
    assert done.returncode == 2
    assert "--pause goes with --qemu" in done.stderr
    assert run("--version").stdout.startswith("allocdump, version")
    assert "Commands:" in run("--help").stdout
    nothing = run()
    assert "Commands:" in nothing.stdout + nothing.stderr


def test_a_dump_that_has_the_name_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(OOM, "report")
    assert "Name one CORE" in run("report").stderr
    assert run("./report").stdout.startswith("VERDICT")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["reprot"], "No such command 'reprot', and no vmcore of that name;"
                     " did you mean 'report'?"),
        (["leak", "vmcore"], "no vmcore of that name; did you mean 'leaks'?"),
        (["nothing-like-it"], "'nothing-like-it' is neither a command (allocdump --help lists them)"
                              " nor a file: check the path of the vmcore."),
        (["no/report"], "'no/report' is neither a command (allocdump --help lists them)"
                        " nor a file"),
        (["\x1b[31m"], r"'\\x1b[31m' is neither a command"),
    ],
)  # fmt: skip
def test_mistyped(words: list[str], sentence: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("words", [(VMLINUX, TINY), (TINY, VMLINUX)], ids=["crash", "other"])
def test_a_kernel_image_beside_the_core(words: tuple[Path, Path]) -> None:
    named = run("report", TINY, "--vmlinux", VMLINUX)
    assert run("report", *words).stdout == named.stdout
    dwarf = run("report", *words, "--format", "json").stdout
    assert '"types": "dwarf"' in dwarf
    assert '"types": "btf"' in run("report", TINY, "--format", "json").stdout
    assert run(*words).stdout == run("triage", TINY, "--vmlinux", VMLINUX).stdout
    # Names do not tell, contents do.
    found = run("whois", *words, "init_task")
    assert (found.returncode, found.stdout) == (0, run("whois", TINY, "init_task").stdout)
    assert run("paths", *words, "init_task").returncode == 0


def test_contents_tell_which_is_which(tmp_path: Path) -> None:
    swapped = tmp_path / "vmcore", tmp_path / "vmlinux"
    for link, real in zip(swapped, (VMLINUX, TINY), strict=True):
        link.symlink_to(real)
    said = run("report", *swapped, *FIRST)
    assert (said.returncode, said.stdout) == (0, run("report", TINY, *FIRST).stdout)


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text("nothing")
    for words, sentence in (
        ((OOM, TINY), "Name one core; to compare two: allocdump diff "),
        ((OOM, note), "is a kernel image (vmlinux); name one CORE."),
        ((OOM, tmp_path / "none"), "is neither an option nor a file that could stand beside"),
        (("--vmlinux", "none", "triage", OOM), "Options follow their command: allocdump triage"),
        ((), "Name one CORE (a vmcore), or --live"),
    ):
        done = run("report", *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert sentence in done.stderr
    assert "Name one CORE" in process("report", OOM, "--live").stderr
    alone = run("report", VMLINUX)
    assert alone.returncode == 3
    assert "is an ELF file but not a core dump" in alone.stderr
    other = run("report", VMLINUX, OOM)
    assert other.returncode == 4  # of another kernel
