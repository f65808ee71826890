# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU guest: opened over its QMP socket, paused while it is read, always resumed.

drgn speaks QMP and reads the guest's memory (``Program.set_qemu_qmp()``). QEMU serves one
client at a time, so pausing shares drgn's connection, between its requests.
"""

from __future__ import annotations

import inspect
import os
import socket
import stat
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from drgn import Program, ProgramFlags

from ..errors import DumpError
from ..text import printable
from . import qmp

_START = "-qmp unix:PATH,server=on,wait=off -device vmcoreinfo"


class Guest:
    """A connection to the QEMU process of a guest.

    :param path: the Unix socket of its QMP monitor
    :raises DumpError: if there is no QEMU to talk to
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._connection = _connect(self.path)
        self._guard: subprocess.Popen[bytes] | None = None

    def set_program(self, prog: Program) -> None:
        """Have drgn read this guest.

        :raises DumpError: if it cannot, or finds no Linux kernel
        """
        try:
            # drgn closes it.
            prog.set_qemu_qmp(os.dup(self._connection.socket.fileno()))
        except Exception as e:  # drgn raises bare Exception
            raise DumpError(f"{self.path}: the guest cannot be read ({e}).") from None
        if not prog.flags & ProgramFlags.IS_LINUX_KERNEL:
            raise DumpError(
                f"{self.path}: no Linux kernel is known in this guest; it tells QEMU where it is"
                " if QEMU was started with -device vmcoreinfo and the kernel has"
                " CONFIG_FW_CFG_SYSFS (the module qemu_fw_cfg)."
            )

    def notices(self) -> list[str]:
        """Sentences on things that make reading this guest slow."""
        cred = self._connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        (pid,) = struct.unpack_from("i", cred)
        try:
            Path(f"/proc/{pid}/mem").open("rb").close()
        except OSError:
            return [
                "The memory of the QEMU process may not be read, so that all goes through its"
                " monitor, which takes minutes; run allocdump as the user that QEMU runs as, or"
                " as root."
            ]
        return []

    def is_running(self) -> bool:
        """True while the guest's processors run; a guest that hangs or panicked may run, too."""
        status = self._execute("query-status")
        return bool(isinstance(status, dict) and status.get("running"))

    def pause(self) -> None:
        """Stop the guest if it runs, until :meth:`close` or until this process is gone.

        :raises DumpError: if QEMU refuses
        """
        if not self.is_running():
            return
        # A process of its own, which notices even that this one was killed. Its source, since a
        # module in a zip archive is no file.
        fd = self._connection.socket.fileno()
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-c", inspect.getsource(qmp), str(fd)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[fd],
            start_new_session=True,
        )
        self._execute("stop")

    def close(self) -> None:
        """Let the guest run again if it was paused here, and hang up.

        :raises DumpError: if that fails
        """
        guard, self._guard = self._guard, None
        if guard:
            assert guard.stdin
            guard.stdin.close()
            if guard.wait() and self.is_there():
                raise DumpError(
                    f"{self.path}: the guest was paused and could not be resumed;"
                    " type cont in QEMU's monitor."
                )
        # drgn's end, which stays open as long as its program, must not keep others waiting.
        with suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)

    def is_there(self) -> bool:
        """Tell if QEMU still answers."""
        try:
            self.is_running()
        except DumpError:
            return False
        return True

    def _execute(self, command: str) -> object:
        try:
            return self._connection.execute(command)
        except (OSError, qmp.QmpError) as e:
            reason = printable(str(e).encode())
            raise DumpError(f"{self.path}: QEMU refused a command ({command}: {reason}).") from None


def _connect(path: str) -> qmp.Connection:
    connection = qmp.Connection(socket.socket(socket.AF_UNIX))
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise DumpError(f"{path} is not a socket; name the one of QEMU's {_START}.")
        connection.socket.connect(path)
        connection.greeting()
    except FileNotFoundError:
        raise DumpError(f"{path} does not exist; start QEMU with {_START}.") from None
    except PermissionError:
        raise DumpError(
            f"{path} may not be used by this user; run allocdump as the user that QEMU runs"
            " as, or as root."
        ) from None
    except ConnectionError:
        raise DumpError(f"Nobody listens at {path}; the QEMU that made it has ended.") from None
    except BlockingIOError:
        raise DumpError(
            f"Nobody answers at {path}; QEMU hangs, or the socket is in use by another program"
            " (then give QEMU one more -qmp)."
        ) from None
    except qmp.QmpError:
        raise DumpError(f"{path} is not a QMP socket; name the one of QEMU's {_START}.") from None
    except OSError as e:
        raise DumpError(f"{path} cannot be used as a socket ({e.strerror or e}).") from None
    return connection
