"""A guest that lives: booted, and talked to, while its kernel is looked at.

It reads the host's own files, so that Python, drgn and this package are there as they
are here.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from . import share, work
from .kernel import Kernel

MEMORY, CPUS = "2G", 2
CMDLINE = "lab_script=live init_on_alloc=1 sysctl.vm.mem_profiling=1"
BOOT, COMMAND = 180, 300
"""Seconds."""


class Guest:
    """A running guest; a context manager, at whose end it is killed."""

    lab = "/mnt"
    """Where the shared folder is for programs of the host."""

    def __init__(self, kernel: Kernel, accelerator: str = "tcg") -> None:
        self.run_folder = work.folder("runs", f"{kernel.name}-live")
        self.share = self.run_folder / "share"
        self.console = self.run_folder / "console.txt"
        self._make_share(kernel)
        # The paths of sockets may not be long.
        self._sockets = tempfile.TemporaryDirectory(prefix="lab")
        self.qmp = Path(self._sockets.name) / "qmp"
        self._process = self._start(kernel, accelerator)
        self._number = 0
        self._heard = b""

    def _make_share(self, kernel: Kernel) -> None:
        shutil.rmtree(self.run_folder)
        (self.share / "out").mkdir(parents=True)
        for name in "live.sh", "around.py", "unprivileged.py":
            shutil.copy(share.GUEST / name, self.share)
        (self.share / "second").write_text(kernel.arch.second)
        share.add_kernel(self.share, kernel)

    def _start(self, kernel: Kernel, accelerator: str) -> subprocess.Popen[bytes]:
        arch = kernel.arch
        command = [
            arch.qemu, *arch.machine, *arch.programs, "-accel", accelerator, "-m", MEMORY,
            "-smp", str(CPUS),
            "-display", "none", "-nic", "none", "-no-reboot",
            "-serial", "file:console.txt",
            *arch.second_serial(f"socket,path={self._sockets.name}/shell,server=on,wait=off"),
            "-qmp", f"unix:{self.qmp},server=on,wait=off",
            "-device", "vmcoreinfo",
            *share.folder("lab", "share"),
            *share.folder("host", "/", ",readonly=on,multidevs=remap"),
            "-kernel", "share/kernel", "-initrd", "share/initrd",
            "-append", f"console={arch.console} {CMDLINE}",
        ]  # fmt: skip
        work.say(f"booting {self.run_folder.name}")
        log = (self.run_folder / "qemu.log").open("w")
        try:
            return subprocess.Popen(
                command, cwd=self.run_folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        except FileNotFoundError:
            raise work.LabError(arch.qemu_missing) from None

    def __enter__(self) -> Self:
        try:
            self._wait_for_boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._sockets.cleanup()

    def _wait_for_boot(self) -> None:
        end = time.monotonic() + BOOT
        while not (self.console.exists() and "lab: live" in self.console.read_text("latin-1")):
            if self._process.poll() is not None or time.monotonic() > end:
                raise work.LabError(f"the guest did not boot, see {self.console}")
            time.sleep(0.2)
        self._shell = socket.socket(socket.AF_UNIX)
        self._shell.settimeout(COMMAND)
        self._shell.connect(f"{self._sockets.name}/shell")

    def start(self, command: str) -> "Running":
        """Starts a command of the guest's shell, one line."""
        self._number += 1
        name = f"out/{self._number}"
        done = f"lab-done-{self._number}"
        line = f"( {command} ) > /lab/{name}.out 2> /lab/{name}.err < /dev/null; echo {done} $?\n"
        self.tell(line)
        return Running(self, self.share / name, done)

    def tell(self, text: str) -> None:
        """Types something, for a command that reads it."""
        self._shell.sendall(text.encode())

    def hear(self, mark: str) -> str:
        """Waits for a text from the guest's shell and returns what came before it."""
        while mark.encode() not in self._heard:
            try:
                piece = self._shell.recv(4096)
            except TimeoutError:
                raise work.LabError("a command in the guest does not end") from None
            if not piece:
                raise work.LabError(f"the guest went away, see {self.console}")
            self._heard += piece
        before, _, self._heard = self._heard.partition(mark.encode())
        return before.decode(errors="replace")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the guest's shell, busybox."""
        return self.start(command).wait()

    def release(self) -> str:
        """The version of its kernel."""
        release: str = self.run("uname -r").stdout.strip()
        return release

    def python(self, *words: str) -> str:
        """A command that runs this Python in the guest, whose processor has to be of this kind."""
        environment = f"PYTHONPATH={work.REPO} PYTHONDONTWRITEBYTECODE=1 TMPDIR=/dev/shm"
        # What a program frees it keeps, so that its own memory does not come and go.
        malloc = "MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=1000000000"
        quoted = " ".join(f"'{word}'" for word in words)
        return f"{environment} {malloc} chroot /host {sys.executable} {quoted}"

    def allocdump(self, *words: str) -> str:
        """A command that runs allocdump in the guest."""
        return self.python("-m", "allocdump", *words)


class Running:
    """A command that was started in the guest."""

    def __init__(self, guest: Guest, path: Path, done: str) -> None:
        self._guest, self._path, self._done = guest, path, done

    def wait(self) -> subprocess.CompletedProcess[str]:
        self._guest.hear(f"{self._done} ")
        code = int(self._guest.hear("\n"))
        out, err = (self._path.with_suffix(s).read_text() for s in (".out", ".err"))
        return subprocess.CompletedProcess(self._done, code, out, err)
