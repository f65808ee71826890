# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands within a drgn session: as on the command line, on a program that is open."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import weakref
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ReferenceType

import numpy as np
import pytest
from drgn import FaultError, Object, Program, ProgramFlags
from drgn.commands import (
    CommandArgumentError,
    CommandError,
    CommandExitStatusError,
    CommandNotFoundError,
    run_command,
)

import allocdump
from allocdump.commands import COMMANDS, IN_DRGN, WITHOUT_PROFILE
from allocdump.drgn import session

from ..dumpdata import core, exclude, place, run, truth

QUIET, OOM, TINY = core("7.2-quiet"), core("6.12-oom"), core("7.3-tiny")
COMPRESSED, DAMAGED = core("7.3-compressed"), core("7.2-quiet", "vmcore.d31")


@cache
def opened(path: Path, dwarf: bool = False) -> Program:
    """A program as a session of drgn has it, with no debugging information or with DWARF."""
    prog = Program()
    prog.set_core_dump(path)
    if dwarf:
        prog.load_debug_info([path.parent / "vmlinux"])
    return prog


PROGRAMS = [(QUIET, False), (OOM, False), (COMPRESSED, False), (DAMAGED, False), (TINY, False),
            (TINY, True)]  # fmt: skip
programs = pytest.mark.parametrize(
    ("path", "dwarf"), PROGRAMS, ids=lambda x: str(x) if x in (True, False) else x.parent.name
)

LINES = [
    "report",
    "report --format allocinfo",
    "report --group-by module --exact --format csv",
    "report --filter 'module=lab*' --top 3 --sort calls",
    "whois init_task pfn:2880",
    "pages --top 5",
    "pages --list --top 5 --format json",
    "objects --group-by cache --top 5",
    "objects --list --top 2 --hexdump 16",
    "usage --depth 2",
    "usage --format json",
    "audit",
    "audit --all --format json",
]


@pytest.mark.parametrize("line", LINES)
@programs
def test_same_as_on_the_command_line(
    path: Path, dwarf: bool, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(opened(path, dwarf), line)
    here = capsys.readouterr()
    name, *options = (word.strip("'") for word in line.split())
    there = run(name, path, *options)
    assert there.returncode == 0
    assert here.out == there.stdout
    warnings = [line for line in here.err.splitlines() if "no debugging information" not in line]
    assert warnings == there.stderr.splitlines()


def test_commands_are_drgns_by_their_names() -> None:
    tested = {line.split()[0] for line in LINES}
    assert set(IN_DRGN) >= tested >= {"report", "whois", "pages", "objects", "usage", "audit"}
    assert set(IN_DRGN) < set(COMMANDS)


@pytest.mark.parametrize("name", IN_DRGN)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    prog = opened(QUIET)
    run_command(prog, f"{name} --help")
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: %{name} ")
    assert "--help" in text
    for outside in ("CORE", "--live", "--vmlinux", "--debug-info", "allocdump ", "| %"):
        assert outside not in text
    # For what lists drgn's commands.
    assert session.help_text(name) == text.rstrip("\n")
    assert session.usage(name).startswith(f"{name} [OPTIONS]")
    assert session.description(name) in text.replace("\n  ", " ")
    from drgn.commands import DEFAULT_COMMAND_NAMESPACE

    command = DEFAULT_COMMAND_NAMESPACE.lookup(prog, name)
    assert command.description() == session.description(name)
    assert command.format_usage() == session.usage(name)
    assert command.format_help(indent="  ").startswith(f"  Usage: %{name} ")


def test_examples_in_the_help_are_commands() -> None:
    text = "".join(session.help_text(name) for name in IN_DRGN)
    examples = re.findall(r"^    %(\w+)", text, re.MULTILINE)
    assert len(examples) > 10
    assert set(examples) <= set(IN_DRGN)


def test_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    run_command(opened(QUIET), "report --format allocinfo | head -1")
    assert capfd.readouterr().out == "allocinfo - version: 2.0\n"


def test_the_reader_of_a_pipe_may_go_away(capfd: pytest.CaptureFixture[str]) -> None:
    prog = opened(QUIET)
    session.dump_of(prog)
    capfd.readouterr()  # the first to use a program is told about its types
    run_command(prog, "pages --list --format json | exec true")
    assert capfd.readouterr() == ("", "")


def test_redirections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, addresses, errors = (tmp_path / name for name in ("report", "addresses", "errors"))
    run_command(opened(QUIET), f"report --top 2 --format csv > {path}")
    run_command(opened(QUIET), f"report --top 1 --format csv >> {path}")
    assert path.read_text().count("file,line,function") == 2
    assert len(path.read_text().splitlines()) == 5
    addresses.write_text("init_task\nnonsense\n")
    run_command(opened(QUIET), f"whois < {addresses} 2> {errors}")
    assert "kernel image" in capsys.readouterr().out
    assert "nonsense is not an address" in errors.read_text()


def test_a_failing_pipe_is_said() -> None:
    with pytest.raises(CommandExitStatusError):
        run_command(opened(QUIET), "report --top 1 | exit 3")


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("report --nothing", CommandArgumentError, "report: No such option '--nothing'"),
        ("report --top x", CommandArgumentError, "report: Invalid value for"),
        ("report vmcore", CommandArgumentError, "unexpected extra argument"),
        ("report --live", CommandArgumentError, "No such option '--live'"),
        ("pages --node 7", CommandArgumentError, "pages: There is no such node"),
        ("objects --hexdump 8", CommandArgumentError, "go with --list"),
        ("whois", CommandArgumentError, "whois: Name an ADDRESS"),
        ("diff", CommandNotFoundError, "diff"),
    ],
)
def test_wrong_usage(
    line: str, error: type[Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", sys.__stdin__)
    with pytest.raises(error) as raised:
        run_command(opened(QUIET), line)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


ARGUMENTS = {"whois": "1", "paths": "1"}
"""Of commands that do nothing without."""


FAILING = {
    "tiny-never": "allocation profiling was never enabled on this machine",
    "tiny-noprofiling": "load the kernel's vmlinux with drgn -s",
}


@pytest.mark.parametrize(
    ("name", "folder"),
    # Most do without a profile.
    [(n, f) for n in IN_DRGN for f in FAILING if f != "tiny-never" or n not in WITHOUT_PROFILE],
)
def test_errors_are_one_sentence(name: str, folder: str) -> None:
    with pytest.raises(CommandError) as raised:
        run_command(opened(core(folder)), f"{name} {ARGUMENTS.get(name, '')}")
    assert FAILING[folder] in str(raised.value)
    assert "--vmlinux" not in str(raised.value)


def test_without_vital_memory() -> None:
    prog = allocdump.open(QUIET).prog
    exclude(prog, prog.symbol("__cpu_possible_mask").address)
    with pytest.raises(CommandError, match="copy it again"):
        run_command(prog, "report")


def test_bugs_are_one_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(prog: Program) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(session, "dump_of", broken)
    monkeypatch.delenv("ALLOCDUMP_DEBUG", raising=False)
    with pytest.raises(CommandError, match="please report it"):
        run_command(opened(QUIET), "report")
    monkeypatch.setenv("ALLOCDUMP_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_command(opened(QUIET), "report")


def test_variables_are_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers, pointers and objects in memory; what is none of these is a symbol, or nothing."""
    prog = opened(QUIET)
    run_command(prog, "whois init_task")  # which lends it types
    capsys.readouterr()
    task = prog["init_task"]
    names = {
        "number": place(task), "word": np.uint64(place(task)), "task": task,
        "pointer": task.address_of_(), "init_task": "a text", "value": Object(prog, "int", -1),
        "yes": True, "array": np.zeros(3),
    }  # fmt: skip

    def told(name: str) -> list[str]:
        run_command(prog, f"whois {name}", globals=names)
        return capsys.readouterr().out.splitlines()[1:]

    wanted = told(f"{task.address_:#x}")
    assert any("init_task" in line for line in wanted)
    for name in ("number", "word", "task", "pointer", "init_task"):
        assert told(name) == wanted, name
    with pytest.raises(CommandError, match="value: -1 is not an address"):
        told("value")
    for name in ("yes", "array"):
        run_command(prog, f"whois {name}", globals=names)
        out, err = capsys.readouterr()
        assert out == ""
        assert f"{name} is not an address" in err


def test_interrupts_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(prog: Program) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "dump_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_command(opened(QUIET), "report")


def test_only_for_kernels() -> None:
    prog = Program()
    prog.set_pid(os.getpid())
    with pytest.raises(CommandNotFoundError):
        run_command(prog, "report")
    with pytest.raises(allocdump.errors.DumpError):
        allocdump.from_program(prog)


def test_read_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    prog = Program()
    prog.set_core_dump(TINY)
    run_command(prog, "report --top 1")
    dump = session.dump_of(prog)
    run_command(prog, "audit")
    assert session.dump_of(prog) is dump
    assert dump._report
    assert dump._passes._made
    assert capsys.readouterr().err.count("no debugging information is loaded") == 1


def test_a_live_program_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prog = opened(TINY)
    live = SimpleNamespace(IS_LIVE=ProgramFlags.IS_LINUX_KERNEL)
    monkeypatch.setattr(session, "ProgramFlags", live)
    prog.cache.pop("allocdump", None)
    assert session.dump_of(prog) is not session.dump_of(prog)


def test_nothing_keeps_a_program() -> None:
    class Witness:
        pass

    def use() -> ReferenceType[Witness]:
        prog = Program()
        prog.set_core_dump(TINY)
        session.dump_of(prog).report()
        prog.cache["witness"] = witness = Witness()
        return weakref.ref(witness)

    witness = use()
    gc.collect()
    assert witness() is None


def test_types_of_the_program_come_first() -> None:
    """DWARF that is loaded after the BTF was taken has precedence."""
    prog = Program()
    prog.set_core_dump(TINY)
    assert allocdump.from_program(prog).origin.types == "btf"
    assert prog["init_task"].type_.type_name() == "struct task_struct"
    prog.load_debug_info([TINY.parent / "vmlinux"])
    assert prog["mem_profiling_compressed"].type_.type_name() == "struct static_key_false"
    assert opened(TINY, True).registered_type_finders() == {"dwarf"}
    assert allocdump.from_program(opened(TINY, True)).origin.types == "dwarf"


def test_dwarf_of_a_module_alone_is_not_enough() -> None:
    prog = Program()
    prog.set_core_dump(TINY)
    labmod = str(TINY.parent / "labmod.ko")
    prog.extra_module(labmod, create=True).try_file(labmod)
    assert prog.type("struct page")
    report = allocdump.from_program(prog).report()
    assert report.origin.types == "btf"
    kernels = [int(line.split()[0]) for line in truth(TINY).splitlines()[2:]]
    assert report.sites.bytes[~report.sites.unloaded].tolist() == kernels


def test_a_dump_that_has_moved(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(TINY.read_bytes())
    prog = Program()
    prog.set_core_dump(path)
    path.unlink()
    origin = allocdump.from_program(prog).origin
    assert (origin.core, origin.format) == (str(path), "core")


def test_damage_is_told() -> None:
    def fault(address: int, count: int, offset: int, physical: bool) -> bytes:
        raise FaultError("Excluded page", address)

    prog = Program()
    prog.set_core_dump(QUIET)
    start = allocdump.open(QUIET).prog.symbol("__start_BTF").address
    prog.add_memory_segment(start & ~4095, 4096, fault)
    finders = prog.registered_symbol_finders()
    with pytest.raises(allocdump.errors.TypesError, match="cannot be used"):
        allocdump.from_program(prog)
    assert prog.registered_symbol_finders() == finders


def test_the_plugin_is_found_by_drgn() -> None:
    (found,) = (e for e in entry_points(group="drgn.plugins") if e.name == "allocdump")
    assert found.value == "allocdump.drgn.plugin"


def drgn(path: Path, code: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drgn", "-q", "-c", str(path), *map(str, args), "-e", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("args", [[], ["-s", TINY.parent / "vmlinux"]], ids=["BTF", "DWARF"])
def test_in_plain_drgn(args: list[str | Path]) -> None:
    """By installation alone: drgn is told nothing of allocdump."""
    code = "from drgn.commands import run_command; run_command(prog, 'allocinfo -f allocinfo')"
    done = drgn(TINY, code, *args)
    assert done.returncode == 0
    assert done.stdout == truth(TINY)
    assert ("no debugging information" in done.stderr) == (not args)


def test_drgn_loads_next_to_nothing() -> None:
    """Whoever does not use a command does not pay for it."""
    done = drgn(TINY, "import sys; print(*sys.modules)")
    ours = {m for m in done.stdout.split() if m.split(".")[0] in ("allocdump", "click", "numpy")}
    assert ours == {
        "allocdump",
        "allocdump.commands",
        "allocdump.drgn",
        "allocdump.drgn.plugin",
    }


def test_triage_names_the_dump_in_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """They are to be pasted into a shell, where no dump is open."""
    run_command(opened(OOM), "triage")
    commands = re.findall(r"^   (allocdump .*)", capsys.readouterr().out, re.MULTILINE)
    assert commands
    assert all(command.split()[2] == str(OOM) for command in commands)
