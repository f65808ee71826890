# SPDX-License-Identifier: LGPL-2.1-or-later
"""The task that panicked, taints and parameters, against what the kernel itself said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import allocdump
from allocdump.kernel.machine.death import death, memory_parameters, taint
from allocdump.kernel.machine.log import KernelLog
from allocdump.session.evidence import investigate

from ..dumpdata import STOCK_CORES, core, made, name, open_core, overwrite, place
from .test_triage import READABLE

ALL = READABLE + STOCK_CORES


@pytest.mark.parametrize("path", ALL, ids=name)
def test_it_is_the_one_on_the_console(path: Path) -> None:
    dump = open_core(path)
    found = death(dump.prog, dump.log)
    assert found
    said = re.findall(
        r"CPU: \d+ (?:UID: \d+ )?PID: (\d+) Comm: (\S+)", (path.parent / "console.txt").read_text()
    )
    if dump.log.panic_message().startswith("Kernel panic - not syncing: Out of memory"):
        assert (str(found.pid), found.task) == said[-1]
    # aarch64 warns of a CPU that did not stop, in machine_kexec(), and prints with show_stack().
    last = ("crash_kexec", "dump_stack_lvl", "vpanic", "panic", "machine_kexec", "show_stack")
    assert found.frames[0].endswith(last)
    assert len(found.frames) <= 16


@pytest.mark.parametrize(
    ("folder", "function"),
    [
        ("6.12-oom", "run_set [leaker]"),
        ("7.2-oom-memcg", "try_charge_memcg"),
        ("stock-7.3-pipes", "anon_pipe_write"),
        ("stock-6.1-tmpfs", "shmem_write_begin"),
    ],
)
def test_the_backtrace_has_what_wanted_memory(folder: str, function: str) -> None:
    dump = open_core(core(folder))
    found = death(dump.prog, dump.log)
    assert found
    assert function in found.frames
    assert "out_of_memory" in found.frames or "out_of_memory.cold" in found.frames


def test_without_a_log_the_stack_has_to_do() -> None:
    found = death(open_core(core("6.12-oom")).prog, KernelLog(b"", "gone"))
    assert found
    assert (found.task, found.pid, found.frames) == ("sh", 42, ("__crash_kexec", "out_of_memory"))


def test_an_old_trace_is_not_that_of_the_panic() -> None:
    log = KernelLog(
        b"x invoked oom-killer: gfp_mask=0x0\n"
        b"CPU: 0 UID: 0 PID: 7 Comm: old Not tainted 7\nCall Trace:\n old+0x1/0x2\n"
        b"Kernel panic - not syncing: sysrq triggered crash\n"
        b"CPU: 1 PID: 9 Comm: new Not tainted 7\nCall Trace:\n <TASK>\n ? no+0x1/0x2\n"
        b" yes+0x1/0x2 [mod]\n yes2+0x1/0x2\nRIP: 0\n late+0x1/0x2\n"
    )
    dump = allocdump.open(core("7.3-tiny"))
    found = death(dump.prog, log)
    assert found
    assert found.frames == ("yes [mod]", "yes2")


@pytest.mark.parametrize("path", ALL, ids=name)
def test_taints_are_those_on_the_console(path: Path) -> None:
    said = re.findall(
        r"Tainted: ([A-Z ]+?) +\d+\.\d+", (path.parent / "console.txt").read_text()
    )  # fmt: skip
    letters = re.findall(r"(?:^|, )([A-Z])", taint(open_core(path).prog))
    if said:
        assert set(said[-1].replace("G", "").replace(" ", "")) <= set(letters)


@pytest.mark.parametrize("path", ALL, ids=name)
def test_parameters_are_of_the_command_line(path: Path) -> None:
    told = memory_parameters(open_core(path).prog).split()
    assert any(word.startswith("crashkernel=") for word in told)
    assert set(told) <= set(made(path)["cmdline"].split())
    assert not any(word.startswith("console=") for word in told)


@pytest.mark.parametrize(
    ("parameter", "about"),
    [
        ("mem=4G", True), ("memmap=1G!4G", True), ("hugepagesz=2M", True), ("hugepages=8", True),
        ("default_hugepagesz=1G", True), ("transparent_hugepage=never", True),
        ("cgroup_disable=memory", True), ("cgroup.memory=nokmem", True), ("slub_debug=FZPU", True),
        ("page_owner=on", True), ("sysctl.vm.overcommit_memory=2", True), ("cma=64M", True),
        ("movable_node", True), ("zswap.enabled=1", True), ("init_on_alloc=1", True),
        ("root=/dev/vda", False), ("quiet", False), ("panic=1", False), ("mitigations=off", False),
    ],
)  # fmt: skip
def test_parameters_of_memory(parameter: str, about: bool) -> None:
    dump = allocdump.open(core("7.3-tiny"))
    line = dump.prog["saved_command_line"].value_()
    overwrite(dump.prog, line, parameter.encode() + b" \0")
    assert (memory_parameters(dump.prog) == parameter) == about


def test_what_is_unreadable_costs_itself_only() -> None:
    dump = allocdump.open(core("6.12-oom"))
    for garbled in (dump.prog["taint_flags"][9].desc, dump.prog["saved_command_line"]):
        overwrite(dump.prog, place(garbled), b"\1" * 8)
    case = investigate(dump)
    assert (case.machine.taint, case.machine.parameters) == ("", "")
    assert case.machine.death
    assert case.lost
