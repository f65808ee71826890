# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a machine is ready to be dumped, from settings as distributions have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocdump.formats.records import doctor as records
from allocdump.source.host import Health, examine
from allocdump.source.program import symbols_of
from allocdump.view import doctor as projection
from allocdump.view.text import render

from ..dumpdata import core, open_core

READY: dict[str, str | bytes] = {
    "proc/sys/kernel/osrelease": "7.3.4\n",
    "proc/sys/vm/mem_profiling": "1\n",
    "proc/sys/vm/panic_on_oom": "1\n",
    "proc/cmdline": "ro sysctl.vm.mem_profiling=1 crashkernel=256M\n",
    "sys/kernel/kexec_crash_size": "268435456\n",
    "sys/kernel/kexec_crash_loaded": "1\n",
    "etc/kdump.conf": "path /crash\n# core_collector scp\ncore_collector makedumpfile -l -d 23\n",
}
DEBIAN = "etc/default/kdump-tools"


@pytest.fixture(scope="module")
def btf() -> dict[str, bytes]:
    """What these kernels have in /sys/kernel/btf/vmlinux."""
    found = {}
    for folder in ("6.12-oom", "7.3-tiny"):
        prog = open_core(core(folder)).prog
        symbols = symbols_of(prog, "")
        start, stop = (
            symbols(prog, f"__{end}_BTF", None, True)[0].address for end in ("start", "stop")
        )
        found[folder] = prog.read(start, stop - start)
    return found


def machine(root: Path, files: dict[str, str | bytes]) -> dict[str, Health]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {finding.check: finding.health for finding in examine(root).findings}


def test_a_machine_that_is_ready(tmp_path: Path, btf: dict[str, bytes]) -> None:
    found = machine(tmp_path, READY | {"sys/kernel/btf/vmlinux": btf["7.3-tiny"]})
    assert set(found.values()) == {Health.GOOD}


def test_an_empty_machine(tmp_path: Path) -> None:
    found = machine(tmp_path, {})
    assert Health.GOOD not in found.values()
    assert found["kdump"] == found["allocation profiling"] == Health.BAD


@pytest.mark.parametrize(
    ("file", "text", "check", "health"),
    [
        ("proc/sys/vm/mem_profiling", "0\n", "allocation profiling", Health.BAD),
        ("proc/cmdline", "sysctl.vm.mem_profiling=never", "profiling from boot on", Health.BAD),
        ("proc/cmdline", "quiet", "profiling from boot on", Health.UNKNOWN),
        # The last one counts.
        (
            "proc/cmdline",
            "sysctl.vm.mem_profiling=0 sysctl.vm.mem_profiling=1,compressed",
            "profiling from boot on",
            Health.GOOD,
        ),
        ("sys/kernel/kexec_crash_size", "0\n", "memory for the crash kernel", Health.BAD),
        ("sys/kernel/kexec_crash_loaded", "0\n", "crash kernel", Health.BAD),
        ("proc/sys/vm/panic_on_oom", "0\n", "panic when memory runs out", Health.UNKNOWN),
        ("etc/kdump.conf", "path /var/crash\n", "dump level", Health.BAD),  # -d 31 by default
        ("etc/kdump.conf", "core_collector makedumpfile -cd31\n", "dump level", Health.BAD),
        ("etc/kdump.conf", "core_collector makedumpfile -l -d 17\n", "dump level", Health.GOOD),
        ("etc/kdump.conf", "core_collector makedumpfile -d 31,7\n", "dump level", Health.UNKNOWN),
        ("etc/kdump.conf", "core_collector makedumpfile -d '\n", "dump level", Health.UNKNOWN),
        ("etc/kdump.conf", "core_collector scp\n", "dump level", Health.GOOD),
    ],
)
def test_one_thing_that_differs(
    tmp_path: Path, btf: dict[str, bytes], file: str, text: str, check: str, health: Health
) -> None:
    found = machine(tmp_path, READY | {"sys/kernel/btf/vmlinux": btf["7.3-tiny"], file: text})
    assert found[check] == health


def test_levels_are_judged_by_the_kernels_types(tmp_path: Path, btf: dict[str, bytes]) -> None:
    settings = READY | {"etc/kdump.conf": "core_collector makedumpfile -d 31\n"}
    old = machine(tmp_path, settings | {"sys/kernel/btf/vmlinux": btf["6.12-oom"]})
    assert old["dump level"] == Health.GOOD
    broken = machine(tmp_path, settings | {"sys/kernel/btf/vmlinux": b"\x9f\xeb garbage"})
    assert broken["dump level"] == Health.UNKNOWN


@pytest.mark.parametrize(
    ("text", "kdump", "level"),
    [
        ('USE_KDUMP=1\nMAKEDUMP_ARGS="-c -d 23"\n', Health.GOOD, Health.GOOD),
        ("USE_KDUMP=1\n", Health.GOOD, Health.BAD),
        ("USE_KDUMP=0\n", Health.BAD, Health.BAD),
        ("# USE_KDUMP=1\n", Health.BAD, Health.BAD),
    ],
)
def test_debian(
    tmp_path: Path, btf: dict[str, bytes], text: str, kdump: Health, level: Health
) -> None:
    files = {k: v for k, v in READY.items() if k != "etc/kdump.conf"}
    found = machine(tmp_path, files | {DEBIAN: text, "sys/kernel/btf/vmlinux": btf["7.3-tiny"]})
    assert (found["kdump"], found["dump level"]) == (kdump, level)


def test_settings_are_not_trusted(tmp_path: Path) -> None:
    machine(
        tmp_path,
        {
            "etc/kdump.conf": b"core_collector \x1b[31mevil\xff -d 31\n",
            "proc/cmdline": b"sysctl.vm.mem_profiling=\x1b[2J\n",
            "proc/sys/kernel/osrelease": b"\x1b]0;x\x07\n",
        },
    )
    host = examine(tmp_path)
    assert "\x1b" not in render(projection.machine(host))
    assert "\\u001b" not in records.machine(host)
