# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump watch`` on the memory of a real dump, which the test changes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from click.testing import CliRunner
from drgn import offsetof

import allocdump
from allocdump.cli import cli
from allocdump.kernel.kernel import Kernel
from allocdump.kernel.machine.log import UnloadMessage
from allocdump.kernel.tags import sampler
from allocdump.kernel.tags.profile import Profile

from ..dumpdata import core, default_signals, overwrite, process
from ..fakeqemu import fake_qemu

QUIET = core("7.2-quiet")


class Living:
    """A dump whose kernel seems to run: counters can be changed."""

    def __init__(self) -> None:
        self.dump = allocdump.open(QUIET, debug_info="btf")
        self.dump.kernel.state = "running"
        self.sites = self.dump.sampler().sample()
        prog = self.dump.prog
        self.offset = self.dump.first_cpu_offset
        self.place = offsetof(prog.type("struct alloc_tag"), "counters")

    def write(self, address: int, word: int) -> None:
        overwrite(self.dump.prog, address, word.to_bytes(8, "little"))

    def counter(self, row: int) -> int:
        """Where the first CPU's bytes of a site are."""
        pointer = self.dump.prog.read_u64(int(self.sites.address[row]) + self.place)
        return int(pointer + self.offset) % (1 << 64)

    def allocate(self, row: int, size: int) -> None:
        at = self.counter(row)
        prog = self.dump.prog
        self.write(at, (prog.read_u64(at) + size) % (1 << 64))
        self.write(at + 8, (prog.read_u64(at + 8) + 1) % (1 << 64))

    def row(self, name: str, line: int) -> int:
        return int(np.flatnonzero((self.sites.file == name) & (self.sites.line == line))[0])


def places(one: dict[str, Any]) -> list[str]:
    """Where the sites of a round's rows are."""
    return [f"{row['file']}:{row['line']}" for row in one["rows"]]


class Rounds(Protocol):
    def __call__(
        self, *happens: Callable[[], None], args: Sequence[str] = ()
    ) -> list[dict[str, Any]]: ...


@pytest.fixture
def living() -> Living:
    return Living()


@pytest.fixture
def rounds(living: Living, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    """Run watch with what happens before each round, and return its rounds."""

    def go(*happens: Callable[[], None], args: Sequence[str] = ()) -> list[dict[str, Any]]:
        left = iter(happens)
        monkeypatch.setattr(time, "sleep", lambda seconds: next(left)())
        monkeypatch.setattr(allocdump, "open", lambda *_, **__: living.dump)
        command = ["watch", "--live", "--count", str(len(happens)), *args]
        done = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    return go


def test_growth(living: Living, rounds: Rounds) -> None:
    kmalloc, pages = living.row("labmod.c", 73), living.row("labmod.c", 56)
    one, two, three = rounds(
        lambda: living.allocate(kmalloc, 1000),
        lambda: living.allocate(pages, 8192),
        lambda: None,
    )
    assert places(one) == ["labmod.c:73"]
    assert one["rows"][0]["growth_bytes"] == one["rows"][0]["last_growth_bytes"] == 1000
    assert places(two) == ["labmod.c:56", "labmod.c:73"]
    assert [row["last_growth_bytes"] for row in two["rows"]] == [8192, 0]
    assert three["total"]["growth_bytes"] == 9192
    assert three["total"]["growth_calls"] == 2
    size = int(living.sites.bytes[pages])
    assert three["rows"][0]["bytes"] == size + 8192


def test_filter_and_top(living: Living, rounds: Rounds) -> None:
    rows = [living.row("labmod.c", line) for line in (73, 56)]

    def leak() -> None:
        for row in rows:
            living.allocate(row, 4096 + row)

    (only,) = rounds(leak, args=["--filter", "labmod.c:73"])
    assert places(only) == ["labmod.c:73"]
    assert only["total"]["growth_bytes"] == 4096 + rows[0]
    (first,) = rounds(leak, args=["--top", "1"])
    assert len(first["rows"]) == 1
    assert first["total"]["growth_bytes"] == 2 * 4096 + sum(rows)


def test_order_and_output(living: Living, rounds: Rounds, tmp_path: Path) -> None:
    less, more = living.row("labmod.c", 56), living.row("labmod.c", 73)

    def leak() -> None:
        living.allocate(less, 4096)
        living.allocate(more, 8192)

    (grown,) = rounds(leak)
    assert places(grown) == ["labmod.c:73", "labmod.c:56"]
    (named,) = rounds(leak, args=["--sort", "name"])
    assert places(named) == ["labmod.c:56", "labmod.c:73"]
    (held,) = rounds(leak, args=["--sort", "after"])
    sizes = [row["bytes"] for row in held["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    path = tmp_path / "rounds"
    assert rounds(leak, leak, args=["--output", str(path), "--sort", "calls"]) == []
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2]
    assert rounds(leak, args=["--format", "table", "--output", str(path)]) == []
    assert "GROWTH" in path.read_text()


def test_only_new_modules_make_it_read_names_again(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, modules = [], [1]
    read = sampler.settled_profile

    def counted(kernel: Kernel, messages: Callable[[], list[UnloadMessage]]) -> Profile:
        reads.append(modules[0])
        return read(kernel, messages)

    monkeypatch.setattr(sampler, "settled_profile", counted)
    monkeypatch.setattr(sampler, "registered", lambda prog: (modules[0],))
    watched = living.dump.sampler()
    first, second = watched.sample(), watched.sample()
    assert reads == [1]
    assert second.address is first.address
    modules[0] = 2
    watched.sample()
    assert reads == [1, 2]


def test_a_module_that_comes_while_counters_are_read(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The round is read again: what is in a module's place may be another one's."""
    states = iter([(1,), (1,), (1,), (2,), (2,), (2,), (2,), (2,)])
    monkeypatch.setattr(sampler, "registered", lambda prog: next(states))
    watched = living.dump.sampler()
    assert len(watched.sample()) == len(living.sites)
    assert not list(states)


def test_what_registers_modules_is_read(living: Living) -> None:
    """On a real kernel: count of sites, and both ends of the module list."""
    before = sampler.registered(living.dump.prog)
    assert before[0] == np.count_nonzero(~living.sites.unloaded)
    head = living.dump.prog.symbol("modules").address
    living.write(head, before[1] + 64)
    assert sampler.registered(living.dump.prog) != before


def test_a_dump_does_not_change() -> None:
    done = process("watch", QUIET)
    assert done.returncode == 2
    assert "A dump does not change" in done.stderr


def test_no_site_matches(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET) as guest:
        done = process("watch", "--qemu", guest.path, "--count", 1, "--filter", "labmd.c")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("allocdump: No site matches 'labmd.c'; did you mean 'labmod.c'")


def test_a_paused_guest_does_not_change(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET) as guest:
        done = process("watch", "--qemu", guest.path, "--pause")
        assert "cont" in guest.commands()
    assert done.returncode == 2
    assert "paused" in done.stderr


def on_terminal(*args: object, until: bytes, keys: bytes = b"") -> tuple[str, int]:
    """Run on a pseudo terminal of 100 x 20; type *keys* when *until* has appeared."""
    pid, terminal = pty.fork()
    if not pid:
        default_signals()
        os.environ |= {"COLUMNS": "100", "LINES": "20"}
        os.execv(sys.executable, [sys.executable, "-m", "allocdump", *map(str, args)])
    text, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                text += os.read(terminal, 1 << 16)
            except OSError:  # it has ended
                break
        if keys and until in text:
            os.write(terminal, keys)
            keys = b""
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return text.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(status)


def test_in_place_on_a_terminal(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET) as guest:
        text, code = on_terminal(
            "watch", "--qemu", guest.path, "--count", 3, "--interval", 0.2, until=b""
        )
    assert code == 0
    screens = re.split("\x1b\\[[0-9]+F", text)
    assert len(screens) == 3
    # As many lines up as were written.
    ups = [int(n) for n in re.findall("\x1b\\[([0-9]+)F", text)]
    assert ups == [screen.count("\n") for screen in screens[:2]]
    assert all("1,368 sites" in screen and "No site has grown" in screen for screen in screens)


def test_control_c_is_the_way_to_end_it(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET) as guest:
        text, code = on_terminal(
            "watch", "--qemu", guest.path, "-i", 0.2, until=b"since the start", keys=b"\x03"
        )
    assert code == 0
    assert "Traceback" not in text


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET) as guest:
        process = subprocess.Popen(
            [sys.executable, "-m", "allocdump", "watch", "--qemu", guest.path, "-i", "0.1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["round"] == 1
        process.stdout.close()
        assert process.wait(30) == -signal.SIGPIPE
        assert process.stderr.read() == b""
        process.stderr.close()
