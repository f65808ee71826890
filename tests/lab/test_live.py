# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel that is alive, read from inside and from outside, against its own /proc/allocinfo."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from steps.live import Guest

import allocdump
from allocdump.analysis.leaks import leaks

from ..dumpdata import process

LINE = re.compile(r" *(-?\d+) +(\d+) (\S+:\d+.*? func:\S+)")
READER = "func:allocinfo_start"

Site = tuple[str, tuple[int, int]]
"""Its names as one text, and its bytes and calls."""


def sites(text: str) -> list[Site]:
    """(names, numbers) of each line of /proc/allocinfo."""
    lines = text.splitlines()
    assert lines[0].startswith("allocinfo - version")
    found = []
    for line in lines[2:]:
        m = LINE.match(line)
        assert m, line
        found.append((m[3], (int(m[1]), int(m[2]))))
    return found


def reader_taken_out(text: str) -> list[Site]:
    """Without what reading the file itself allocates: an iterator, until Linux 6.13."""
    return [
        (name, (size - size // calls, calls - 1) if calls and READER in name else (size, calls))
        for name, (size, calls) in sites(text)
    ]


@dataclass
class Comparison:
    """A report against two readings around it."""

    sites: int
    unchanged: int
    equal: int
    holding: int
    different: list[tuple[Site, Site]]
    """Of those that did not change: of the kernel, and of the report."""

    def row(self, kernel: str, how: str) -> str:
        """Of the README's table."""
        return (
            f"| {kernel} | `{how}` | {self.sites:,} | {self.sites - self.unchanged:,}"
            f" | {self.equal:,} of {self.unchanged:,}, {self.holding:,} of which hold memory |"
        )


def compare(text_before: str, text: str, text_after: str) -> Comparison:
    before, after = reader_taken_out(text_before), reader_taken_out(text_after)
    report = sites(text)
    assert [name for name, _ in before] == [name for name, _ in report]
    assert [name for name, _ in before] == [name for name, _ in after]
    rows = [b for b, a in zip(before, after, strict=True) if b == a]
    same = [r for b, a, r in zip(before, after, report, strict=True) if b == a]
    different = [(b, r) for b, r in zip(rows, same, strict=True) if b != r]
    return Comparison(
        len(before), len(rows), len(rows) - len(different),
        sum(size != 0 for _, (size, _) in rows), different,
    )  # fmt: skip


def around(guest: Guest) -> list[str]:
    return [(guest.share / "out" / name).read_text() for name in ("before", "after")]


def in_guest(guest: Guest, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = guest.run(guest.allocdump(*args))
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="session", autouse=True)
def known(guest: Guest) -> None:
    """A module whose allocations do not change."""
    done = guest.run("insmod /lab/modules/labtruth.ko && insmod /lab/modules/labmod.ko")
    assert done.returncode == 0, done.stderr


def test_report_live(guest: Guest, figure: Callable[[str], None]) -> None:
    report = guest.run(
        guest.python(f"{guest.lab}/around.py", f"{guest.lab}/out", "report", "--live",
                     "--format", "allocinfo")
    )  # fmt: skip
    assert report.returncode == 0, report.stderr
    assert "went on running" in report.stderr
    before, after = around(guest)
    found = compare(before, report.stdout, after)
    figure(found.row(guest.release(), "--live"))
    assert found.unchanged > 1000
    assert found.different == []


@pytest.mark.parametrize("pause", [[], ["--pause"]])
def test_report_qemu(guest: Guest, figure: Callable[[str], None], pause: list[str]) -> None:
    waiting = guest.start(guest.python(f"{guest.lab}/around.py", f"{guest.lab}/out"))
    guest.hear("waiting\n")
    time.sleep(3)
    report = process("report", "--qemu", guest.qmp, *pause, "--format", "allocinfo")
    guest.tell("\n")
    assert waiting.wait().returncode == 0
    assert report.returncode == 0, report.stderr
    found = compare(around(guest)[0], report.stdout, around(guest)[1])
    figure(found.row(guest.release(), " ".join(["--qemu", *pause])))
    assert found.unchanged > 1000
    assert found.different == []
    runs_on(guest)


def runs_on(guest: Guest) -> None:
    """Time passes in the guest, and its shell answers."""
    first, second = (float(guest.run("cat /proc/uptime").stdout.split()[0]) for _ in range(2))
    assert second > first
    assert guest.run("echo alive").stdout == "alive\n"


def labmod(text: str) -> dict[str, int]:
    """Bytes of labmod's sites by line, from /proc/allocinfo."""
    return {name.split()[0]: size for name, (size, _) in sites(text) if "[labmod]" in name and size}


def json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_pages_and_objects(guest: Guest) -> None:
    truth = labmod(guest.run("cat /proc/allocinfo").stdout)
    rows = []
    for command in "pages", "objects":
        done = in_guest(guest, command, "--live", "--filter", "module=labmod", "-f", "json")
        rows += json_lines(done.stdout)
    # vmalloc and kvmalloc are pages, too; per-CPU memory differs by kernel.
    found: dict[str, int] = {}
    for row in rows:
        if row.get("cache") != "(per-CPU)":
            place = f"{row['file']}:{row['line']}"
            found[place] = found.get(place, 0) + row["bytes"]
    assert len(found) > 10
    assert {site: truth[site] for site in found} == found


def test_whois(guest: Guest) -> None:
    rows = in_guest(
        guest,
        "objects",
        "--live",
        "--filter",
        "labmod.c:73",
        "--list",
        "--top",
        "3",
        "-f",
        "json",
    )
    objects = json_lines(rows.stdout)
    addresses = [row["address"] for row in objects]
    found = json_lines(in_guest(guest, "whois", "--live", "-f", "json", *addresses).stdout)
    for row, answer in zip(objects, found, strict=True):
        layer = answer["layers"][0]
        assert (layer["what"], layer["start"]) == ("slab object", row["address"])
        assert f"{layer['site']['file']}:{layer['site']['line']}" == "labmod.c:73"


def test_usage(guest: Guest, figure: Callable[[str], None]) -> None:
    memory = json.loads(in_guest(guest, "usage", "--live", "-f", "json").stdout)["memory"]
    assert (
        memory["bytes"]
        == memory["kernel_counter"]
        == sum(child["bytes"] for child in memory["children"])
    )
    told = re.search(r"MemTotal: +(\d+)", guest.run("cat /proc/meminfo").stdout)
    assert told
    total = int(told[1]) << 10
    assert 0.9 * memory["bytes"] < total < memory["bytes"]
    off = [
        abs(child["bytes"] - child["kernel_counter"]) / memory["bytes"]
        for child in memory["children"]
        if child.get("kernel_counter")
    ]
    figure(f"usage --live: classes differ from the kernel's counters by {100 * max(off):.2f}%")
    assert max(off) < 0.01


def test_audit(guest: Guest, figure: Callable[[str], None]) -> None:
    audit = json.loads(in_guest(guest, "audit", "--live", "-f", "json", "--all").stdout)
    differ = [row for row in audit["rows"] if row["difference"]]
    moved = [row for row in differ if row["cause"] == "changed while it was read"]
    figure(
        f"audit --live: {audit['agree']:,} of {audit['sites']:,} sites agree to the byte,"
        f" {len(moved)} changed while they were read, {len(differ) - len(moved)} others"
    )
    assert audit["agree"] > 0.97 * audit["sites"]
    assert not [row for row in differ if row["module"] == "labmod"]


def uptime(guest: Guest) -> float:
    """Seconds, by the kernel's own clock."""
    return float(guest.run("cat /proc/uptime").stdout.split()[0])


def test_triage_of_a_paused_guest(guest: Guest, figure: Callable[[str], None]) -> None:
    """It is alive: its clock tells the uptime, and nothing says that it died."""
    first = uptime(guest)
    done = process("triage", "--qemu", guest.qmp, "--pause", "-f", "json")
    last = uptime(guest)
    assert done.returncode == 0, done.stderr
    triage = json.loads(done.stdout)
    facts = triage["died"]["facts"]
    assert first - 1 <= facts["uptime"]["values"]["uptime"] <= last
    assert facts["state"]["values"]["state"] == "paused"
    assert not {"reason", "task", "backtrace"} & facts.keys()
    assert triage["died"].get("events", []) == []
    table = process("triage", "--qemu", guest.qmp, "--pause")
    assert table.returncode == 0, table.stderr
    for text in triage["verdict"]["text"], table.stdout:
        assert not re.search(r"\b(died|crash\w*|panic\w*)\b", text, re.IGNORECASE), text
    figure(f"triage --qemu --pause: {triage['verdict']['text']}")
    runs_on(guest)


def test_triage_of_a_running_kernel(guest: Guest) -> None:
    """Read once, it says nothing of lost memory."""
    done = process("triage", "--qemu", guest.qmp, "-f", "json")
    assert done.returncode == 0, done.stderr
    triage = json.loads(done.stdout)
    assert triage["died"]["facts"]["state"]["values"]["state"] == "running"
    assert [text for text in triage["missing"] if "lost memory" in text.lower()]
    assert not [suspect for suspect in triage["suspects"] if "lost" in suspect["rule"]]


SURE = {"likely", "very likely", "certain"}


def reached(rows: list[Any]) -> tuple[set[str], set[str]]:
    """Functions of reach.c that have a row: those that hold memory, and those that lose it."""
    names = {row["function"] for row in rows if row["module"] == "reach"}
    return {n for n in names if n.startswith("hold")}, {n for n in names if n.startswith("lose")}


@pytest.fixture(scope="session")
def reach(guest: Guest, known: None) -> None:
    """A module that holds memory in one known way each, and loses some."""
    done = guest.run("insmod /lab/modules/reach.ko")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("pause", [[], ["--pause"]], ids=["running", "paused"])
@pytest.mark.usefixtures("reach")
def test_leaks(guest: Guest, figure: Callable[[str], None], pause: list[str]) -> None:
    """What is lost is told, and nothing that is held; a guest that runs is read twice.

    Memory that went away while it was read makes all of it undecided, which a pause prevents.
    """
    done = process("leaks", "--qemu", guest.qmp, *pause, "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = json_lines(done.stdout)
    held, lost = reached(rows)
    sure = [row for row in rows if row["confidence"] in SURE]
    # labmod drops pointers, too; nodes of a lost xarray are lost with their module's memory.
    ours = re.compile("reach|labmod")
    others = [row for row in sure if not ours.search(row["module"] or row["reason"])]
    figure(
        f"{' '.join(['leaks --qemu', *pause])}: {len(lost)} of reach's functions that lose memory,"
        f" {len(held)} that hold it, {len(sure)} rows likely or more; those of others: "
        + (", ".join(f"{r['file']}:{r['line']} ({r['lost']:,})" for r in others) or "none")
    )
    assert held == set()
    assert {"lose_objects", "lose_pages", "lose_areas", "lose_percpu"} <= lost
    assert others == []
    if pause:
        assert sure
        assert not [row for row in rows if row["undecided"]]
    runs_on(guest)


@pytest.mark.usefixtures("reach")
def test_one_reading_is_never_sure(guest: Guest) -> None:
    with allocdump.open(qemu=guest.qmp) as dump:
        assert dump.state == "running"
        once = leaks(dump.reach(), dump.origins, moving=True).lost
    assert len(once) > 0
    assert not SURE & set(once.confidence.tolist())


def test_without_root(guest: Guest) -> None:
    done = guest.run(guest.python(f"{guest.lab}/unprivileged.py", "report", "--live"))
    assert done.returncode == 3
    assert done.stderr == (
        "allocdump: /proc/kcore may only be read by root; run allocdump as root.\n"
    )


def test_hidden_symbols(guest: Guest) -> None:
    guest.run("echo 2 > /proc/sys/kernel/kptr_restrict")
    try:
        assert "kptr_restrict=1" in in_guest(guest, "report", "--live", code=4).stderr
    finally:
        guest.run("echo 0 > /proc/sys/kernel/kptr_restrict")


@contextmanager
def background(guest: Guest, command: str) -> Iterator[None]:
    """Have the guest do this again and again meanwhile."""
    guest.run(f"rm -f /stop; (while [ ! -e /stop ]; do {command}; done) > /dev/null 2>&1 &")
    try:
        yield
    finally:
        guest.run("touch /stop; sleep 2")


CHURN = (
    "insmod /lab/modules/leaked.ko; rmmod leaked; ls -R /sys > /files; rm /files;"
    " for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done"
)


@pytest.mark.parametrize("command", ["report", "audit", "usage", "objects", "pages"])
def test_while_everything_changes(guest: Guest, command: str) -> None:
    """Modules and processes come and go under the reading."""
    with background(guest, CHURN):
        for _ in range(2):
            done = process(command, "--qemu", guest.qmp)
            assert "Traceback" not in done.stderr
            assert done.returncode == 0, done.stderr
            assert done.stdout
        assert in_guest(guest, command, "--live").stdout


@pytest.mark.parametrize("inside", [True, False], ids=["live", "qemu"])
def test_watch_finds_the_leak(guest: Guest, figure: Callable[[str], None], inside: bool) -> None:
    """A module leaks while watch runs: pages, four times as many as records."""
    guest.run("insmod /lab/modules/leaker.ko")
    leak = "echo 250 > /sys/module/leaker/parameters/run; sleep 1"
    with background(guest, leak):
        if inside:
            done = in_guest(guest, "watch", "--live", "--count", "10", "--top", "3")
        else:
            done = process("watch", "--qemu", guest.qmp, "--count", "10", "--top", "3")
            assert done.returncode == 0, done.stderr
    rounds = json_lines(done.stdout)
    last = rounds[-1]["rows"]
    assert last[0]["file"] == "leaker.c"
    assert last[0]["function"] == "leaker_get_page"
    assert last[0]["growth_bytes"] > 10 << 20
    sizes = [r["rows"][0]["growth_bytes"] if r["rows"] else 0 for r in rounds]
    assert sizes == sorted(sizes)
    figure(
        f"watch {'--live' if inside else '--qemu'}: {last[0]['file']}:{last[0]['line']} on top with"
        f" {last[0]['growth_bytes']:,} bytes in {rounds[-1]['elapsed']:.0f} s"
    )


def test_rounds_of_the_same_sites(guest: Guest, figure: Callable[[str], None]) -> None:
    with allocdump.open(qemu=guest.qmp) as dump:
        sampler = dump.sampler()
        sites = sampler.sample()
        times = []
        for _ in range(50):
            start = time.perf_counter()
            again = sampler.sample()
            times.append(time.perf_counter() - start)
            assert np.array_equal(again.address, sites.address)
    milliseconds = 1000 * sorted(times)[len(times) // 2]
    figure(f"a round of watch --qemu: {milliseconds:.1f} ms for {len(sites):,} sites")


def test_watch_sees_modules_come_and_go(guest: Guest) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "allocdump", "watch", "--qemu", guest.qmp, "--interval", "0.5"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    assert process.stdout is not None
    output = process.stdout

    def sites_now() -> int:
        count: int = json.loads(output.readline())["sites"]
        return count

    first = sites_now()
    guest.run("insmod /lab/modules/leaked.ko")
    end = time.monotonic() + 30
    while (now := sites_now()) == first and time.monotonic() < end:
        pass
    assert now > first
    process.terminate()
    process.wait()
    output.close()
    runs_on(guest)


def test_runs_on_after_a_kill(guest: Guest) -> None:
    code = (
        "import allocdump.cli, allocdump.session, os, signal\n"
        "allocdump.session.Session.report = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        "allocdump.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "report", "--qemu", guest.qmp, "--pause"])
    assert done.returncode == -signal.SIGKILL
    runs_on(guest)


def test_a_dead_guest(guest: Guest) -> None:
    """The last test: there is nothing to run on."""
    guest.tell("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger\n")
    end = time.monotonic() + 30
    while "Kernel panic" not in guest.console.read_text("latin-1") and time.monotonic() < end:
        time.sleep(0.2)
    done = process("report", "--qemu", guest.qmp, "--format", "json", "--filter", "module=labmod")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "sysrq" in report["kernel"]["crash_reason"]
    assert report["completeness"]["complete"]
    assert len(report["rows"]) > 10
