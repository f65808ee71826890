# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU made of a real dump: answers QMP as QEMU does, and holds the dump's memory.

As a program: ``fakeqemu.py SOCKET CORE [BEHAVIOUR...]``; prints each command it executes.
"""

from __future__ import annotations

import array
import ctypes
import json
import mmap
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PAGE = 4096
SIZE = 512 << 20
"""Of the guest: a power of two, more than the lab's dumps are of."""
MACHINES = {"X86_64": ("x86_64", 62, 0), "AARCH64": ("aarch64", 183, 1 << 30)}
"""Name in QEMU, number in ELF, and where memory begins."""
PR_SET_PTRACER = 0x59616D61

GREETING = {"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}


class RefusedError(Exception):
    """The command fails."""


class FakeQemu:
    """One client at a time, as QEMU.

    :param behaviour: ``paused``: not running at first. ``no-vmcoreinfo``: the kernel did not
        tell where it is. ``no-stop``, ``no-cont``: refuses these. ``ends-2``: ends when it
        has said twice whether it runs.
    """

    def __init__(self, core: str, behaviour: set[str]) -> None:
        import drgn

        self.prog = drgn.Program()
        self.prog.set_core_dump(core)
        assert self.prog.platform
        self.name, self.machine, self.base = MACHINES[self.prog.platform.arch.name]
        self.memory = mmap.mmap(-1, SIZE)
        self._fill(0, SIZE, drgn.FaultError)
        # As root may always; a system can forbid it to others.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1))
        self.behaviour = behaviour
        self.running = "paused" not in behaviour
        self.asked = 0
        self.fds: list[int] = []

    def _fill(self, start: int, end: int, fault: type[Exception]) -> None:
        """Copy the dump's memory; what is not in it stays zero."""
        try:
            self.memory[start:end] = self.prog.read(self.base + start, end - start, physical=True)
        except fault:
            middle = (start + end) // 2
            if middle - start >= PAGE:
                self._fill(start, middle, fault)
                self._fill(middle, end, fault)

    def serve(self, path: str) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(1)
        print("ready", flush=True)
        while True:
            client, _ = server.accept()
            with suppress(BrokenPipeError, ConnectionResetError):
                self._client(client)
            print("closed", flush=True)

    def _client(self, client: socket.socket) -> None:
        self._send(client, GREETING)
        rest = b""
        while True:
            data, ancillary, _, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(4))
            for _, _, content in ancillary:
                self.fds += array.array("i", content)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                request = json.loads(line)
                answer = {"id": request["id"]} if "id" in request else {}
                try:
                    answer["return"] = self._execute(
                        request["execute"], request.get("arguments", {}), client
                    )
                except RefusedError as e:
                    answer["error"] = {"class": "GenericError", "desc": str(e)}
                self._send(client, answer)
                if f"ends-{self.asked}" in self.behaviour:
                    os._exit(0)

    def _send(self, client: socket.socket, message: dict[str, Any]) -> None:
        client.sendall(json.dumps(message).encode() + b"\r\n")

    def _execute(self, command: str, arguments: dict[str, Any], client: socket.socket) -> object:
        if command == "human-monitor-command":
            return self._monitor(arguments["command-line"])
        print(command, flush=True)
        if "no-" + command in self.behaviour:
            raise RefusedError(f"{command} is refused")
        match command:
            case "query-target":
                return {"arch": self.name}
            case "query-status":
                self.asked += 1
                return {"running": self.running, "status": "running" if self.running else "paused"}
            case "stop" | "cont":
                self.running = command == "cont"
                event = "RESUME" if self.running else "STOP"
                self._send(client, {"event": event, "timestamp": {"seconds": 1, "microseconds": 0}})
            case "dump-guest-memory":
                self._dump()
            case "qmp_capabilities" | "getfd" | "closefd":
                pass
            case _:
                raise RefusedError(f"The command {command} has not been found")
        return {}

    def _monitor(self, line: str) -> str:
        if line == "info mtree -f":
            return (
                'FlatView #0\r\n AS "memory", root: system\r\n Root memory region: system\r\n'
                f"  {self.base:016x}-{self.base + SIZE - 1:016x} (prio 0, ram): ram\r\n"
            )
        if line == f"gpa2hva {self.base:#x}":
            address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
            return f"Host virtual address for {self.base:#x} (ram) is {address:#x}\r\n"
        return "0000000000000000: Cannot access memory\r\n"

    def _dump(self) -> None:
        """A core with no memory in it, and one note."""
        note = b""
        if "no-vmcoreinfo" not in self.behaviour:
            text = self.prog["VMCOREINFO"].string_()
            note = struct.pack("<III", 11, len(text), 0) + b"VMCOREINFO\0\0"
            note += text + bytes(-len(text) % 4)
        header = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\x02\x01\x01", 4, self.machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0,
        )  # fmt: skip
        segment = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), len(note), 4)
        fd = self.fds.pop()
        os.write(fd, header + segment + note)
        os.close(fd)


class Running:
    """A fake QEMU in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], path: str) -> None:
        self.process, self.path = process, path

    def commands(self, last: str = "closed") -> list[str]:
        """What it was told, up to *last*: that is, till its client went away."""
        told: list[str] = []
        assert self.process.stdout is not None
        # Nothing waits for ever.
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        for line in iter(self.process.stdout.readline, ""):
            told.append(line.strip())
            if told[-1] == last:
                break
        watchdog.cancel()
        return told


@contextmanager
def fake_qemu(folder: Path, core: Path, *behaviour: str) -> Iterator[Running]:
    """Run one at a socket in *folder*."""
    path = str(folder / "qmp")
    process = subprocess.Popen(
        [sys.executable, __file__, path, str(core), *behaviour], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Running(process, path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    FakeQemu(sys.argv[2], set(sys.argv[3:])).serve(sys.argv[1])
