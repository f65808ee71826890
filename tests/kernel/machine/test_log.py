# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import pytest

from allocdump.kernel.machine.log import KernelLog, UnloadMessage


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", ""),
        (b"sysrq: Trigger a crash\nKernel panic - not syncing: sysrq triggered crash\n",
         "Kernel panic - not syncing: sysrq triggered crash"),
        (b"BUG: kernel NULL pointer dereference, address: 0\nOops: 0002 [#1] SMP\n"
         b"Kernel panic - not syncing: Fatal exception\n",
         "BUG: kernel NULL pointer dereference, address: 0"),
        (b"Kernel panic - not syncing: Fatal exception\n",
         "Kernel panic - not syncing: Fatal exception"),
        (b"BUG: something earlier\nKernel panic - not syncing: hung_task: blocked tasks\n",
         "Kernel panic - not syncing: hung_task: blocked tasks"),
        (b"BUG: workqueue lockup - pool cpus=0\n", ""),
        (b"BUG: KASAN: use-after-free in f+0x1\nBUG: sleeping function called\n", ""),
        (b"BUG: workqueue lockup - pool cpus=0\nBUG: unable to handle page fault for address: 8\n"
         b"#PF: supervisor read access\nOops: Oops: 0000 [#1] SMP\n"
         b"Kernel panic - not syncing: Fatal exception in interrupt\n",
         "BUG: unable to handle page fault for address: 8"),
        (b"BUG: kernel NULL pointer dereference, address: 1\nOops: 0002 [#1]\n" + b"x\n" * 20 +
         b"kernel BUG at mm/slub.c:5!\nOops: invalid opcode: 0000 [#2]\n",
         "kernel BUG at mm/slub.c:5!"),
        (b"BUG: kernel NULL pointer dereference, address: 1\nOops: 0002 [#1]\n" + b"x\n" * 20 +
         b"Oops: general protection fault, probably for non-canonical address [#2]\n",
         "Oops: general protection fault, probably for non-canonical address [#2]"),
        (b"Kernel panic - not syncing: \x1b[2J\xff", r"Kernel panic - not syncing: \x1b[2J\xff"),
    ],
)  # fmt: skip
def test_panic_message(text: bytes, message: str) -> None:
    assert KernelLog(text).panic_message() == message


def test_a_fault_is_not_the_end_of_a_kernel_that_runs() -> None:
    fault = b"BUG: kernel NULL pointer dereference, address: 0\nOops: 0002 [#1] SMP\n"
    assert KernelLog(fault).panic_message(alive=True) == ""
    assert KernelLog(fault).panic_message().startswith("BUG: kernel NULL")
    dead = KernelLog(fault + b"Kernel panic - not syncing: Fatal exception\n")
    assert dead.panic_message(alive=True).startswith("BUG: kernel NULL")


def test_unload_messages() -> None:
    log = KernelLog(
        b"leaked.c:20 module leaked func:start has 128000 allocated at module unload\n"
        b"something else\n"
        b"drivers/x/y.c:7 module y func:probe.isra.0 has 64 allocated at module unload\n"
        b"y: memory allocation(s) from the module still alive, cannot unload cleanly\n"
    )
    assert log.unload_messages() == [
        UnloadMessage("leaked.c", 20, "leaked", "start", 128000),
        UnloadMessage("drivers/x/y.c", 7, "y", "probe.isra.0", 64),
    ]
