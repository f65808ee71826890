# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump shell``: what is piped into it, and a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from allocdump.commands import IN_DRGN

from ..dumpdata import core, made, name, process

QUIET, TINY = core("7.2-quiet"), core("7.3-tiny")


@pytest.fixture(autouse=True)
def history(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """drgn keeps the lines typed in there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def shell(
    *lines: str,
    path: Path = QUIET,
    args: list[Any] | tuple[Any, ...] = (),
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    text = "".join(f"{line}\n" for line in lines)
    return process("shell", path, *args, input=text, env=os.environ | (env or {}))


def answers(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was printed after each prompt."""
    return done.stdout.split(">>> ")[1:-1]


def tries(banner: str) -> list[str]:
    return re.findall(r"^  (.*?)  +# ", banner.partition("\nTry:\n")[2], re.MULTILINE)


SHELLS = [
    core("6.12-oom"), core("7.2-quiet", "vmcore.d31"), core("7.3-compressed"),
    core("7.3-reach-never"), core("arm64-64k-compressed"),
]  # fmt: skip
"""One for each kind of reference, a damaged one, one without a profile: each is a new process."""


@pytest.mark.parametrize("path", SHELLS, ids=name)
def test_what_the_banner_suggests_works(path: Path) -> None:
    suggested = tries(shell(path=path).stderr)
    assert len(suggested) == 3
    done = shell(*suggested, path=path)
    assert done.returncode == 0
    said = done.stderr.partition("\nTry:\n")[2].splitlines()[3:]
    # Of a damaged dump, the command warns.
    assert all("warning: " in line for line in said if line)
    assert path.suffix == ".d31" or not any(said)
    assert len(answers(done)) == 3
    assert all(answers(done))
    assert "(struct alloc_tag *)" in answers(done)[2] or "profiling=never" in made(path)["cmdline"]


def test_the_banner_says_what_this_is() -> None:
    banner = shell(path=core("6.12-oom")).stderr
    first, second, *_ = banner.splitlines()
    assert first.startswith("Linux 6.12.117 | crashed 2026-11-22 19:57:31 UTC | Kernel panic")
    assert first.endswith("Out of memory: system-wide panic_on_oom is enabled | profiling on")
    assert second.endswith("6.12-oom/vmcore (kdump, lzo, -d 31), types from BTF")
    for word in ("%report", "%whois", "dump.report()", "drgn.helpers.linux", "page_alloc_tag"):
        assert word in banner
    assert "the task that died" in banner
    died = shell(tries(banner)[1], path=core("6.12-oom")).stdout
    assert "slab object" in died
    assert "cache task_struct" in died


def test_a_dump_without_a_profile_opens_too() -> None:
    done = shell("%report", "find_task(1).comm", path=core("tiny-never"))
    assert "allocation profiling was never enabled" in done.stderr.splitlines()[1]
    assert "profiling on" not in done.stderr
    assert "drgn: error: " in done.stderr
    assert '"init"' in done.stdout
    assert done.returncode == 0


def test_everything_is_there() -> None:
    done = shell(
        "dump.report().sites.bytes.sum() == alloc_tag_arrays().bytes.sum()",
        "%report --top 1 --format csv | tail -1 | cut -d, -f1",
        "alloc_tag_str(next(find_alloc_tags('labmod.c:73')))",
        "len(list(for_each_alloc_tag())) == len(list(for_each_alloc_tag(prog)))",
        "slab_object_alloc_tag(find_task(1).comm.address_of_()).ct.function.string_()",
        "np.uint8(255) + 0, allocdump.__version__, dump.prog is prog, "
        "prog.cache['allocdump'] is dump",
    )
    first, top, tag, same, function, rest = answers(done)
    assert (first, same) == ("np.True_\n", "True\n")
    assert top == "mm/percpu.c\n"
    assert tag == "'labmod.c:73 [labmod] func:labmod_kmalloc'\n"
    assert function == "b'alloc_task_struct_node'\n"
    assert rest.endswith("True, True)\n")


def test_with_dwarf() -> None:
    args = ["--vmlinux", TINY.parent / "vmlinux"]
    done = shell('prog["mem_profiling_compressed"].type_', path=TINY, args=args)
    assert "types from DWARF" in done.stderr
    assert "struct static_key_false" in done.stdout


def test_errors_do_not_end_it() -> None:
    done = shell("%report --nothing", "%nothing", "%whois", "1/0", "'still here'")
    assert answers(done)[-1] == "'still here'\n"
    assert "drgn: report: No such option '--nothing'" in done.stderr
    assert "drgn: nothing: command not found" in done.stderr
    assert "drgn: whois: Name an ADDRESS" in done.stderr
    assert done.stderr.count("Traceback") == 1  # of Python's own
    assert done.returncode == 0


def test_readers_that_go_away_do_not_end_it() -> None:
    done = shell("%pages --list --format json | exec true", "'still here'")
    assert answers(done)[-1] == "'still here'\n"


def test_a_name_of_old() -> None:
    assert answers(shell("%allocinfo --top 1 --format csv | wc -l")) == ["2\n"]


def test_redirection(tmp_path: Path) -> None:
    shell(f"%report --format allocinfo > {tmp_path / 'report'}")
    truth = (QUIET.parent / "truth.allocinfo").read_text()
    assert (tmp_path / "report").read_text() == truth


def test_without_plugins() -> None:
    """drgn may be told to load none; these commands are the shell's own."""
    done = shell("%report --top 1 --format csv | wc -l", env={"DRGN_DISABLE_PLUGINS": "*"})
    assert answers(done) == ["2\n"]


def test_it_starts_with_little() -> None:
    """What reads all memory is loaded when it is asked for; options are made of the keys' names."""
    done = shell("import sys; print(*sys.modules)")
    loaded = {m for m in done.stdout.split() if m.startswith(("allocdump.analysis", "tabulate"))}
    few = {"allocdump.analysis"} | {
        f"allocdump.analysis.{name}"
        for name in ("filters", "keys", "report", "site_groups", "sums")
    }
    assert loaded == few
    assert "allocdump.analysis.attribution" not in done.stdout.split()


def test_a_prompt_that_needs_no_terminal() -> None:
    """Python 3.13's own does."""
    done = shell("import os; os.environ['PYTHON_BASIC_REPL']")
    assert answers(done) == ["'1'\n"]


def test_closed_standard_input() -> None:
    command = f"{sys.executable} -m allocdump report {QUIET} --top 1 <&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_dump(tmp_path: Path) -> None:
    done = shell(path=tmp_path / "vmcore")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("allocdump: ")
    assert done.stderr.count("\n") == 1


def test_on_a_terminal() -> None:
    terminal, inside = os.openpty()
    command = [sys.executable, "-m", "allocdump", "shell", str(QUIET)]
    env = os.environ | {"PYTHON_BASIC_REPL": "1"}
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=env) as process:
        os.close(inside)

        def until(text: bytes) -> str:
            seen, start = b"", time.monotonic()
            while not seen.endswith(text) and time.monotonic() - start < 60:
                seen += os.read(terminal, 1 << 16)
            return seen.decode()

        assert "Try:" in until(b">>> ")
        os.write(terminal, b"%report --top 1\n")
        assert "mm/percpu.c:512" in until(b">>> ")
        os.write(terminal, b"\x04")
        assert process.wait(60) == 0
    os.close(terminal)


def test_help() -> None:
    done = process("shell", "--help")
    assert "allocdump shell vmcore" in done.stdout
    assert "shell" not in IN_DRGN
