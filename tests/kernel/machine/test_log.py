# SPDX-License-Identifier: LGPL-2.1-or-later
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
        (b"Kernel panic - not syncing: \x1b[2J\xff", r"Kernel panic - not syncing: \x1b[2J\xff"),
    ],
)  # fmt: skip
def test_panic_message(text, message):
    assert KernelLog(text).panic_message() == message


def test_unload_messages():
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
