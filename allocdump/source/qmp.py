# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the QEMU Machine Protocol that pauses a guest.

Run as a program, this resumes a guest when whoever paused it is gone, in whatever way:
standard input is then a pipe from that process, and the argument a connection's file
descriptor. It needs nothing but Python's own library, so that it starts at once.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

TIMEOUT = 10
"""Seconds for QEMU to answer."""


class QmpError(Exception):
    """QEMU refused, or does not speak QMP, in words for people."""


class Connection:
    """One end of a QMP connection that another program may share.

    No more is read from it than the line that is waited for, and what the other one left
    unread is skipped.
    """

    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        # Not settimeout(): that would not block, for the other program neither.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            peer.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT, 0))

    def greeting(self) -> None:
        """Wait for QEMU's greeting, and leave it for the other program to read.

        :raises QmpError: if something else comes
        :raises BlockingIOError: if nothing does
        """
        start = self.socket.recv(4096, socket.MSG_PEEK)
        if not start.startswith(b'{"QMP"'):
            raise QmpError("it does not greet as QMP does")

    def execute(self, command: str) -> Any:
        """Send a command without arguments and return what it returns.

        :raises QmpError: if QEMU refuses it, or goes away
        :raises OSError: if QEMU does not answer
        """
        name = f"allocdump-{command}"
        self.socket.sendall(json.dumps({"execute": command, "id": name}).encode() + b"\r\n")
        while True:
            answer: Any = None
            with suppress(ValueError):  # the rest of what the other program did not read
                answer = json.loads(self._line())
            if isinstance(answer, dict) and answer.get("id") == name:
                if "error" in answer:
                    raise QmpError(str(answer["error"].get("desc")))
                return answer.get("return")

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            waiting = self.socket.recv(1 << 16, socket.MSG_PEEK)
            if not waiting:
                raise QmpError("QEMU closed the connection")
            line += self.socket.recv(waiting.find(b"\n") + 1 or len(waiting))
        return line


def _resume(fd: int) -> None:
    sys.stdin.buffer.read()
    Connection(socket.socket(fileno=fd)).execute("cont")


if __name__ == "__main__":
    _resume(int(sys.argv[1]))
