# SPDX-License-Identifier: LGPL-2.1-or-later
"""``--qemu`` and ``--pause``, on a QEMU made of a real dump: a guest always runs on."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from allocdump.cli.live import held_output
from allocdump.errors import DumpError
from allocdump.source import qmp
from allocdump.source.guest import Guest
from allocdump.source.program import open_dump

from ..dumpdata import TESTDATA, core, default_signals, process, run, truth
from ..fakeqemu import Running, fake_qemu

QUIET, ARM = core("7.2-quiet"), core("arm64-oom")


def one_sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("allocdump: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def pauses(commands: list[str]) -> list[str]:
    return [c for c in commands if c in ("stop", "cont")]


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """It serves one client after the other."""
    with fake_qemu(tmp_path_factory.mktemp("qemu"), QUIET) as guest:
        yield guest


def test_report_of_a_paused_guest(guest: Running) -> None:
    done = process("report", "--qemu", guest.path, "--pause", "--format", "allocinfo")
    assert pauses(guest.commands()) == ["stop", "cont"]
    assert done.stdout == truth(QUIET)
    assert done.stderr == ""


def test_without_pause(guest: Running) -> None:
    done = process("report", "--qemu", guest.path, "--format", "json")
    assert pauses(guest.commands()) == []
    report = json.loads(done.stdout)
    assert report["dump"]["state"] == "running"
    assert report["completeness"]["complete"]
    assert report["completeness"]["sites_moved"] == 0
    assert "went on running" in done.stderr
    assert report["warnings"]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with fake_qemu(tmp_path_factory.mktemp("qemu"), ARM) as guest:
        yield guest


@pytest.mark.parametrize("architecture", ["x86-64", "aarch64"])
@pytest.mark.parametrize("args", [["audit"], ["usage"], ["pages"], ["objects"], ["whois"]])
def test_all_commands(guest: Running, arm: Running, args: list[str], architecture: str) -> None:
    guest, dump = (guest, QUIET) if architecture == "x86-64" else (arm, ARM)
    address = ["init_task"] if args == ["whois"] else []
    live = process(*args, "--qemu", guest.path, "--pause", *address)
    assert pauses(guest.commands()) == ["stop", "cont"]
    dead = run(*args, dump, *address)
    assert live.returncode == 0
    # The first lines tell where it comes from.
    assert live.stdout.splitlines()[1:] == dead.stdout.splitlines()[1:]


def test_a_guest_that_was_paused_stays_so(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET, "paused") as guest:
        done = process("report", "--qemu", guest.path, "--pause", "--format", "json")
        assert pauses(guest.commands()) == []
    assert json.loads(done.stdout)["dump"]["state"] == "paused"


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGSEGV", "SIGABRT"])
def test_resumed_whatever_ends_the_reading(guest: Running, how: str) -> None:
    code = (
        "import allocdump.cli, allocdump.session, os, signal\n"
        f"allocdump.session.Session.report = lambda self: os.kill(os.getpid(), signal.{how})\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--qemu", guest.path, "--pause"],
        capture_output=True, preexec_fn=default_signals,
    )  # fmt: skip
    assert pauses(guest.commands()) == ["stop", "cont"]
    # SIGINT is an exception in Python; the others end it.
    assert done.returncode == (130 if how == "SIGINT" else -getattr(signal, how))


def test_resumed_after_an_error(guest: Running) -> None:
    done = process("pages", "--qemu", guest.path, "--pause", "--zone", "nowhere")
    assert pauses(guest.commands()) == ["stop", "cont"]
    assert done.returncode == 2


def test_resumed_before_a_reader_sees_the_output(guest: Running) -> None:
    """Nobody reads, and the pipe is too small for all: the guest must not wait for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "allocdump", "report", "--qemu", guest.path, "--pause", "-a"],
        stdout=subprocess.PIPE,
    )
    assert "cont" in guest.commands("cont")
    assert process.poll() is None
    assert process.stdout is not None
    process.stdout.close()
    process.wait()
    guest.commands()


def test_slow_reading_is_said_before(guest: Running) -> None:
    """Before anything is read, that is."""
    code = (
        "import allocdump.cli, allocdump.session, os, pathlib\n"
        "def forbidden(*_): raise PermissionError\n"
        "pathlib.Path.open = forbidden\n"
        "allocdump.session.Session.report = lambda self: os._exit(9)\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "report", "--qemu", guest.path], capture_output=True, text=True
    )
    guest.commands()
    assert done.returncode == 9
    assert "takes minutes" in done.stderr


def test_not_paused(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET, "no-stop") as guest:
        done = process("report", "--qemu", guest.path, "--pause")
    assert "stop is refused" in one_sentence(done, 3)


def test_not_resumed(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET, "no-cont") as guest:
        done = process("report", "--qemu", guest.path, "--pause", "--top", "1")
    assert "type cont" in one_sentence(done, 3)
    assert "1 site shown" in done.stdout


@pytest.mark.parametrize(("ends", "pause"), [("ends-1", []), ("ends-2", ["--pause"])])
def test_qemu_ends_while_it_is_opened(tmp_path: Path, ends: str, pause: list[str]) -> None:
    with fake_qemu(tmp_path, QUIET, ends) as guest:
        done = process("report", "--qemu", guest.path, *pause)
    assert "went away" in one_sentence(done, 3)


@pytest.mark.parametrize("pause", [[], ["--pause"]])
def test_qemu_ends_while_it_is_read(tmp_path: Path, pause: list[str]) -> None:
    code = (
        "import allocdump.cli, allocdump.session, os, signal, time\n"
        "report = allocdump.session.Session._read_report\n"
        "def ends(self):\n"
        "    os.kill(int(os.environ['QEMU']), signal.SIGKILL)\n"
        "    time.sleep(0.2)\n"
        "    return report(self)\n"
        "allocdump.session.Session._read_report = ends\n"
        "allocdump.cli.main()"
    )
    with fake_qemu(tmp_path, QUIET) as guest:
        done = subprocess.run(
            [sys.executable, "-c", code, "report", "--qemu", guest.path, *pause],
            capture_output=True, text=True, env=os.environ | {"QEMU": str(guest.process.pid)},
        )  # fmt: skip
    assert "went away" in one_sentence(done, 3)


def test_a_guest_that_does_not_say_where_its_kernel_is(tmp_path: Path) -> None:
    with fake_qemu(tmp_path, QUIET, "no-vmcoreinfo") as guest:
        done = process("report", "--qemu", guest.path, "--pause")
        assert pauses(guest.commands()) == []
    assert "-device vmcoreinfo" in one_sentence(done, 3)


def test_hung_up_on_if_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU serves one client at a time: the next one must not wait for this program to end."""
    closed = []
    monkeypatch.setattr(Guest, "close", lambda guest: closed.append(guest))
    with (
        fake_qemu(tmp_path, QUIET, "no-vmcoreinfo") as guest,
        pytest.raises(DumpError, match="vmcoreinfo"),
    ):
        open_dump(None, qemu=guest.path)
    assert len(closed) == 1


def test_no_such_socket(tmp_path: Path) -> None:
    message = one_sentence(process("report", "--qemu", tmp_path / "qmp"), 3)
    assert "does not exist" in message
    assert "-qmp unix:" in message


@pytest.mark.parametrize("path", [TESTDATA, QUIET, "/dev/null"])
def test_no_socket_at_all(path: str | Path) -> None:
    assert "is not a socket" in one_sentence(process("report", "--qemu", path), 3)


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30)
    path.symlink_to("/dev/null")
    one_sentence(process("report", "--qemu", path), 3)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.listen(1)
    with server:
        yield server


def test_qemu_has_ended(server: socket.socket, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(DumpError, match="Nobody listens"):
        Guest(tmp_path / "socket")


@pytest.mark.parametrize("greeting", [b"QEMU 7.2.22 monitor - type 'help'\r\n", b"{}\n", b""])
def test_another_socket(server: socket.socket, tmp_path: Path, greeting: bytes) -> None:
    def greet() -> None:
        client, _ = server.accept()
        client.sendall(greeting)
        client.close()

    threading.Thread(target=greet).start()
    with pytest.raises(DumpError, match="is not a QMP socket"):
        Guest(tmp_path / "socket")


def test_in_use_by_another_program(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp, "TIMEOUT", 1)
    with pytest.raises(DumpError, match="in use"):
        Guest(tmp_path / "socket")


def test_a_socket_of_somebody_else(server: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "socket").chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(DumpError, match="may not be used"):
            Guest(tmp_path / "socket")
    finally:
        os.seteuid(was)


def test_an_interrupted_answer_is_skipped() -> None:
    """What drgn left unread, and events, are not the answer to what we ask."""
    ours, theirs = socket.socketpair()
    connection = qmp.Connection(ours)
    theirs.sendall(b'half of a line"}\r\n{"return": "xp"}\r\n{"event": "STOP"}\r\n')
    theirs.sendall(b'{"return": {"running": true}, "id": "allocdump-query-status"}\r\n{"event"')
    assert connection.execute("query-status") == {"running": True}
    # And no more was read than that.
    assert ours.recv(100) == b'{"event"'


@pytest.mark.parametrize(
    "args",
    [["--pause", QUIET], ["--live", "--pause"], ["--qemu", "x", QUIET], ["--qemu", "x", "--live"]],
)
def test_wrong_usage(args: list[Any]) -> None:
    done = process("report", *args)
    assert done.returncode == 2
    assert "--qemu" in done.stderr


def test_addresses_are_not_taken_for_a_core(guest: Running) -> None:
    done = process("whois", "--qemu", guest.path, "init_task", "pfn:2880", "-f", "json")
    guest.commands()
    assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == [
        "init_task",
        "pfn:2880",
    ]


def test_held_output_takes_binary(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with held_output():
        click.echo(b"\x1f\x8b\xff", nl=False)
        print("später")
    assert capsysbinary.readouterr().out == b"\x1f\x8b\xff" + "später\n".encode()


def test_profile_of_a_paused_guest(guest: Running) -> None:
    done = process("report", "--qemu", guest.path, "--pause", "--format", "pprof", text=False)
    assert (done.returncode, done.stderr.count(b"internal error")) == (0, 0)
    assert gzip.decompress(done.stdout)
    assert pauses(guest.commands()) == ["stop", "cont"]


def test_held_output_looks_like_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    with held_output():
        print("später")
        assert sys.stdout.isatty() is False
        assert capsys.readouterr().out == ""
    assert capsys.readouterr().out == "später\n"
