# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines that shells complete: bash always, zsh and fish where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allocdump.cli.completing import _items
from allocdump.cli.completion import SCRIPTS

from ..dumpdata import TESTDATA, process, run

OOM = "6.12-oom/vmcore"
DONE = "all-typed"


def answers(line: str, **env: str) -> list[str]:
    """What a shell is told: values, and ``file``."""
    asked = {"_ALLOCDUMP_COMPLETE": "line", "_ALLOCDUMP_WORDS": f"allocdump {line}"} | env
    done = process(env=os.environ | asked, cwd=TESTDATA)
    assert (done.returncode, done.stderr) == (0, "")
    kinds = [line.split("\t") for line in done.stdout.splitlines()]
    return [value if kind == "plain" else kind for kind, value, _ in kinds]


def test_commands_options_and_choices() -> None:
    assert answers("re") == ["report", "retained", "file"]
    assert answers("report x --fo") == ["--format"]
    assert answers("report x --format j") == ["json"]
    assert answers("report x --sort ")[:2] == ["size", "calls"]
    assert answers("pages x --group-by no") == ["node"]
    assert answers("pages x --group-by cgroup,no") == ["cgroup,node"]
    assert "cgroup,cgroup" not in answers("pages x --group-by cgroup,")
    assert "vmalloc" in answers("objects x --group-by ")
    assert answers("report ") == ["file"]
    assert answers("completion ") == ["bash", "zsh", "fish"]
    assert "--limit" not in answers("leaks x --")


def test_names_that_only_the_dump_knows() -> None:
    assert answers(f"leaks {OOM} --filter leaker.c:") == ["leaker.c:33", "leaker.c:44"]
    assert answers(f"leaks {OOM} --filter 'module=l") == [
        "module=labtruth", "module=leaked", "module=leaker"
    ]  # fmt: skip
    assert answers(f"objects {OOM} --cache task_s") == ["task_struct"]
    assert "fs/" in answers(f"report --top 3 {OOM} --filter ")
    assert answers("diff 7.2-quiet/allocinfo.before - --filter module=") == [
        "module=labmod", "module=labtruth"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["report nosuch --filter lea", "report README.md --filter lea", "report --filter lea",
     f"report {OOM} --filter fil=", "diff nosuch - --filter lea", "objects --cache ",
     "leaks --qemu nosuch --filter lea",
     "report tiny-noprofiling/vmcore --filter lea"],
)  # fmt: skip
def test_silence_where_nothing_is_known(line: str) -> None:
    assert [value for value in answers(line) if value != "file"] == []


def test_names_of_a_hostile_dump_are_left_out() -> None:
    names = ["$(reboot)", "a b", "a;b", "a'b", "a`b", "a\nb", "-a\tb", "a.c:1", "kmalloc-8"]
    assert [item.value for item in _items("", "", names)] == ["a.c:1", "kmalloc-8"]


def test_many_names_are_folders_of_them() -> None:
    names = [f"fs/{folder}/file{n}.c" for folder in "ab" for n in range(200)]
    assert [item.value for item in _items("file=", "f", names)] == ["file=fs/"]
    assert [item.value for item in _items("", "fs/", names)] == ["fs/a/", "fs/b/"]
    assert len(_items("", "fs/a/", names)) == 200
    assert _items("", "", map(str, range(100_000))) == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_is_printed(shell: str) -> None:
    text = run("completion", shell).stdout
    assert SCRIPTS[shell].removesuffix(".fish") in text
    assert run("completion", "csh").returncode == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds ``allocdump``, which completes, but otherwise shows its arguments alone."""
    command = tmp_path / "bin" / "allocdump"
    command.parent.mkdir()
    command.write_text(
        "#!/bin/sh\n"
        f'[ -n "$_ALLOCDUMP_COMPLETE" ] && {{ {sys.executable} -m allocdump;'
        f" touch {tmp_path}/asked; exit; }}\n"
        f"printf '<%s>' \"$@\"; echo {DONE}\n"
    )
    command.chmod(0o755)
    (tmp_path / "my dumps").mkdir()
    (tmp_path / "my dumps" / "vmcore").symlink_to(TESTDATA / OOM)
    (tmp_path / "vmcore").symlink_to(TESTDATA / OOM)
    for shell, name in SCRIPTS.items():
        (tmp_path / name).write_text(run("completion", shell).stdout)
    return tmp_path


def typed(shell: list[str], start: str, line: str, folder: Path) -> str:
    """The arguments that a line has once Tab was pressed behind it."""
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    root = str(Path(__file__).parent.parent.parent)
    env = {"PATH": path, "PYTHONPATH": root, "HOME": str(folder), "TERM": "dumb", "PS1": "$ "}
    master, slave = pty.openpty()
    with subprocess.Popen(
        shell, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=folder, start_new_session=True
    ) as process:
        os.close(slave)

        def until(text: str, seconds: float = 30) -> str:
            seen, end = b"", time.monotonic() + seconds
            while text.encode() not in seen and time.monotonic() < end:
                if select.select([master], [], [], 0.1)[0]:
                    seen += os.read(master, 1 << 16)
            return seen.decode(errors="replace")

        os.write(master, f"{start}; echo read''y\n".encode())
        until("ready\r")
        os.write(master, f"{line}\t".encode())
        end = time.monotonic() + 30
        while not (folder / "asked").exists() and time.monotonic() < end:
            time.sleep(0.05)
        until("\0", 0.5)
        os.write(master, b"\n")
        shown = until(f"{DONE}\r")
        process.kill()
    os.close(master)
    return shown[: shown.rindex(DONE)].rpartition("\n")[2] if DONE in shown else shown


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("allocdump rep", "<report>"),
        ("allocdump report vmc", "<report><vmcore>"),
        ("allocdump vmc", "<vmcore>"),
        ("allocdump report my", "<report><my dumps/>"),
        ("allocdump report vmcore --forma", "<report><vmcore><--format>"),
        ("allocdump leaks vmcore --filter leaker.c:3", "<leaks><vmcore><--filter><leaker.c:33>"),
        ("allocdump leaks vmcore -F module=leaker", "<leaks><vmcore><-F><module=leaker>"),
        ("allocdump leaks vmcore -F file=leaker.c:4", "<leaks><vmcore><-F><file=leaker.c:44>"),
        ("allocdump leaks vmcore -F 'function=leaker_get_p",
         "<leaks><vmcore><-F><function=leaker_get_page>"),
        ("allocdump objects vmcore --cache task_s", "<objects><vmcore><--cache><task_struct>"),
        ("bin/allocdump comple", "<completion>"),
    ],
)  # fmt: skip
def test_in_bash(line: str, arguments: str, folder: Path) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    start = "bind 'set enable-bracketed-paste off'; source ./allocdump"
    assert typed(shell, start, line, folder) == arguments


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("allocdump rep", ["report"]),
        ("allocdump leaks vmcore --filter leaker.c:", ["leaker.c:33", "leaker.c:44"]),
        ("allocdump report vmc", ["vmcore"]),
    ],
)
def test_in_fish(line: str, found: list[str], folder: Path) -> None:
    code = f"source allocdump.fish; complete -C '{line}'"
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    root = str(Path(__file__).parent.parent.parent)
    env = {"PATH": path, "PYTHONPATH": root, "HOME": str(folder)}
    done = subprocess.run(["fish", "-c", code], capture_output=True, text=True, env=env, cwd=folder)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == found, done.stderr


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("allocdump rep", "<report>"),
        ("allocdump report vmc", "<report><vmcore>"),
        ("allocdump leaks vmcore --filter leaker.c:3", "<leaks><vmcore><--filter><leaker.c:33>"),
        ("allocdump leaks vmcore -F file=leaker.c:4", "<leaks><vmcore><-F><file=leaker.c:44>"),
    ],
)
def test_in_zsh(line: str, arguments: str, folder: Path) -> None:
    start = "autoload -Uz compinit; compinit -u -D; source ./_allocdump"
    assert typed(["zsh", "-f", "-i"], start, line, folder) == arguments
