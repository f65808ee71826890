# SPDX-License-Identifier: LGPL-2.1-or-later
"""What doctor says of each bundled dump, against what the commands then do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drgn import Program

import allocdump
from allocdump.analysis.diagnosis import Works
from allocdump.commands import COMMANDS
from allocdump.kernel.bugs import Bug
from allocdump.kernel.layouts import CompoundPages, UnknownLayoutError
from allocdump.kernel.mm.pagemap import PageMap
from allocdump.session.doctor import CHECKS, diagnose
from allocdump.source.memory import Memory

from ..dumpdata import CORES, STOCK_CORES, core, exclude, made, name, open_core, process, run

MORE = {
    "whois": ["init_task"],
    "paths": ["init_task"],
    "report": ["--top", "1"],
}
PROCESSES = {"watch", "shell"}
"""They need a process of their own."""
NOT_OF_A_CORE = {"tags", "doctor", "schema", "completion"}


def doctor(path: Path, *options: str) -> dict[str, Any]:
    done = run("doctor", path, "--format", "json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_command_that_reads_a_core_has_a_check() -> None:
    assert set(CHECKS) == set(COMMANDS) - NOT_OF_A_CORE


@pytest.mark.parametrize("path", [*CORES, *STOCK_CORES], ids=name)
def test_commands_do_what_doctor_says(path: Path) -> None:
    found = doctor(path)
    states = {state["command"]: state for state in found["commands"]}
    assert list(states) == [command for command in COMMANDS if command in CHECKS]
    for command, state in states.items():
        if command in PROCESSES or (command == "triage" and state["works"] == Works.YES):
            continue  # triage of all of these is tests/formats/test_schemas.py's
        words = [str(path)] if command == "diff" else MORE.get(command, [])
        done = run(command, path, *words)
        assert done.returncode == state["exit_code"], (command, done.stderr)
        assert (state["works"] == Works.NO) == (done.returncode != 0)
        printed = " ".join(done.stderr.split())
        if done.returncode:
            assert state["why"][0] in printed
        elif state["works"] == Works.YES:
            # Of what is missing inside memory, only reading tells; no bundled dump lacks any.
            assert printed == ""
    made_of = made(path)["kernel"]
    assert found["release"].split(".")[:2] == made_of["version"].split(".")[:2]
    assert made_of.get("build_id") in (None, found["build_id"])


def test_it_tells_what_does_not_change() -> None:
    path = core("7.3-tiny")
    (state,) = (s for s in doctor(path)["commands"] if s["command"] == "watch")
    done = process("watch", path)
    assert (done.returncode, state["exit_code"], state["works"]) == (2, 2, Works.NO)
    assert state["why"][0] in " ".join(done.stderr.split())


def test_a_truncated_dump(tmp_path: Path) -> None:
    whole = core("6.12-oom").read_bytes()
    cut = tmp_path / "vmcore"
    cut.write_bytes(whole[: len(whole) - 4096])
    found = doctor(cut)
    assert found["missing_bytes"] > 0
    assert any("truncated" in sentence for sentence in found["damage"])
    states = {state["command"]: state for state in found["commands"]}
    done = run("report", cut)
    assert done.returncode == states["report"]["exit_code"]
    assert states["report"]["works"] != Works.YES


def test_what_is_no_dump_is_refused(tmp_path: Path) -> None:
    done = run("doctor", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")


def test_without_types_it_names_the_vmlinux() -> None:
    path = core("tiny-noprofiling")
    found = doctor(path)
    build_id = open_core(core("7.3-tiny")).kernel.vmcoreinfo.build_id
    assert len(found["build_id"]) == 40
    assert found["build_id"] != build_id
    assert (found["kallsyms"]["found"], found["btf"]["found"], found["types"]) == (
        True,
        False,
        None,
    )
    assert found["layouts"] == []
    for state in found["commands"]:
        assert (state["works"], state["exit_code"]) == (Works.NO, 4)
        assert state["remedy"].startswith("--vmlinux FILE: ")
    text = run("doctor", path).stdout
    wanted = f"Linux {found['release']}, build ID {found['build_id']}"
    assert wanted in " ".join(text.split())
    assert wanted in " ".join(run("report", path).stderr.split())
    other = doctor(path, "--vmlinux", str(core("7.3-tiny", "vmlinux")))
    assert {state["exit_code"] for state in other["commands"]} == {4}


def test_types_of_a_vmlinux() -> None:
    path = core("7.3-tiny")
    found = doctor(path, "--vmlinux", str(core("7.3-tiny", "vmlinux")))
    assert (found["types"], found["btf"]["found"], found["kallsyms"]["found"]) == (
        "dwarf",
        True,
        True,
    )


def test_damage_that_makedumpfile_did() -> None:
    found = doctor(core("7.2-quiet", "vmcore.d31"))
    assert [bug["bug"] for bug in found["bugs"]] == [Bug.TAIL_PAGES.value.title]
    assert "capture with -d 23" in found["damage"][0]
    assert found["left_out"][3] == "user data"
    whole = doctor(core("7.2-quiet"))
    assert (whole["damage"], whole["bugs"]) == ([], [])
    assert "user data" not in whole["left_out"]


def fresh(folder: str) -> allocdump.session.Session:
    return allocdump.open(core(folder))


def test_memory_that_nothing_describes() -> None:
    dump = fresh("7.3-tiny")
    exclude(dump.prog, dump.prog["mem_section"].value_())
    states = {state.command: state for state in diagnose(dump).commands}
    assert states["report"].exit_code == 0
    assert (states["usage"].works, states["usage"].exit_code) == (Works.NO, 6)
    # It goes on without.
    assert states["triage"].works == Works.IN_PART
    assert states["usage"].why[0] in states["triage"].why


def test_a_layout_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(prog: Program) -> CompoundPages:
        raise UnknownLayoutError(f"{CompoundPages.structure()}: laid out otherwise")

    monkeypatch.setattr(CompoundPages, "detect", unknown)
    found = diagnose(fresh("7.3-tiny"))
    named = [state for state in found.layouts if state.structure == CompoundPages.structure()]
    assert [state.variant for state in named] == [""]
    states = {state.command: state for state in found.commands}
    assert states["report"].works == Works.YES
    assert any("laid out otherwise" in sentence for sentence in states["leaks"].why)
    assert states["leaks"].works != Works.YES


def test_it_reads_no_memory_but_what_describes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(PageMap, "show", everything)
    read = 0
    original = Memory._read

    def counting(self: Memory, address: int, size: int, holes: Any) -> Any:
        nonlocal read
        read += size
        return original(self, address, size, holes)

    monkeypatch.setattr(Memory, "_read", counting)
    assert len(diagnose(fresh("7.3-tiny")).commands) == len(CHECKS)
    assert read < 16 << 20


def test_markdown_and_pages() -> None:
    path = core("stock-6.12-quiet")
    assert "CONFIG_MEM_ALLOC_PROFILING" in run("doctor", path, "--format", "markdown").stdout
    assert run("doctor", path, "--format", "html").stdout.startswith("<!doctype html>")
