"""Boots a kernel in QEMU, lets it crash, and collects what it leaves."""

import hashlib
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import apt, share, stock, truth, userland, work
from .arch import Architecture
from .kernel import Kernel
from .stock import Stock

COMPRESSION = {"none": "", "zlib": "-c", "lzo": "-l", "snappy": "-p", "zstd": "-z", "elf": "-E"}
CMDLINE = "panic=1 init_on_alloc=1 init_on_free=1"
MIB = {"M": 1, "G": 1024}


@dataclass
class Scenario:
    """One of scenarios/: a machine and what happens on it."""

    name: str
    memory: str
    cpus: int
    cmdline: str
    dumps: list[dict[str, Any]]
    script: str = ""
    qemu: list[str] = field(default_factory=list)
    userland: bool = False
    """It uses the programs of this machine, and all modules of its kernel."""
    nested: str | None = None
    """The kernel of a guest that runs in the guest."""
    seconds: int = 600
    """How long it may take."""
    verdict: list[str] = field(default_factory=list)
    """Words that triage's first suspect must have."""

    @property
    def path(self) -> Path:
        return work.LAB / "scenarios" / f"{self.script or self.name}.sh"

    def makedumpfile(self) -> list[str]:
        """Returns one line for each dump: its name and makedumpfile's options."""
        return [
            f"{dump['name']} {COMPRESSION[dump['compression']]} -d {dump['level']}"
            for dump in self.dumps
        ]

    def command(self, kernel: Kernel | Stock, first: str, accelerator: str) -> list[str]:
        """Returns the QEMU command that runs in the shared folder's parent.

        The kernel and its first file system are in the folder first.
        """
        arch, pages = kernel.arch, kernel.pages
        memory = int(self.memory[:-1]) * MIB[self.memory[-1]] + pages.extra
        kernel_words = f"console={arch.console} crashkernel={pages.crashkernel}M {CMDLINE}"
        return [
            arch.qemu, *arch.machine, "-accel", accelerator, "-m", f"{memory}M",
            "-smp", str(self.cpus),
            "-display", "none", "-nic", "none", "-no-reboot", "-serial", "file:console.txt",
            *share.folder("lab", "share"),
            *(stock.qemu(kernel) if isinstance(kernel, Stock) else []),
            *(userland.qemu(kernel) if isinstance(kernel, Kernel) and self.userland else []),
            *self.qemu,
            "-kernel", f"{first}/kernel", "-initrd", f"{first}/initrd",
            "-append", f"{kernel_words} {self.cmdline}".strip(),
        ]  # fmt: skip


def load(name: str) -> Scenario:
    return Scenario(name=name, **work.describe("scenarios", name))


def dump(kernel: Kernel | Stock, scenario: Scenario, folder: Path, accelerator: str) -> None:
    """Makes one dump folder."""
    run = work.folder("runs", f"{kernel.name}-{scenario.name}")
    shared = run / "share"
    if isinstance(kernel, Stock):
        scenario.dumps = [{**dump, "level": kernel.level} for dump in scenario.dumps]
        share.make(shared, kernel.crash_kernel(), scenario.path, scenario.makedumpfile())
        stock.add_first(run / "first", kernel, shared)
        command = scenario.command(kernel, "first", accelerator)
    else:
        share.make(shared, kernel, scenario.path, scenario.makedumpfile())
        if scenario.userland:
            userland.add(shared, kernel, scenario.nested)
        command = scenario.command(kernel, "share", accelerator)
    _boot(kernel.arch, command, run, scenario.seconds)

    out = shared / "out"
    console = run / "console.txt"
    if missing := [dump["name"] for dump in scenario.dumps if not (out / dump["name"]).exists()]:
        raise work.LabError(f"no {missing[0]} was saved, see {console}")
    if isinstance(kernel, Stock):
        stock.take_reports(run)
    shutil.copy(_plain(console), out / "console.txt")
    truth.extract(out / scenario.dumps[0]["name"], out / "console.txt", out)
    (out / "made.json").write_text(json.dumps(_made(kernel, scenario, command), indent=2) + "\n")
    sums(out)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(out, folder)
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        work.say(f"{path.stat().st_size:>10,} {path.name}")


def _boot(arch: Architecture, command: list[str], run: Path, seconds: int) -> None:
    work.say(f"booting {run.name}")
    started = time.monotonic()
    try:
        subprocess.run(command, cwd=run, check=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise work.LabError(arch.qemu_missing) from None
    except subprocess.TimeoutExpired:
        raise work.LabError(
            f"the machine still runs after {seconds} s, see {run / 'console.txt'}"
        ) from None
    except subprocess.CalledProcessError as error:
        raise work.LabError(f"QEMU failed with status {error.returncode}") from None
    work.say(f"crashed and saved after {time.monotonic() - started:.0f} s")


def _plain(console: Path) -> Path:
    """Returns the console without the firmware's terminal codes."""
    text = console.read_text(errors="replace").replace("\r", "")
    start = text.find("Linux version")
    console.write_text(text[max(start, 0) :])
    return console


def _made(kernel: Kernel | Stock, scenario: Scenario, command: list[str]) -> dict[str, Any]:
    """Returns how the dump came to be, without a path of this machine."""
    return {
        "kernel": stock.made(kernel) if isinstance(kernel, Stock) else _built(kernel),
        "architecture": kernel.arch.name,
        "page_size": kernel.page_size,
        **({"profiling": "none"} if isinstance(kernel, Stock) else {}),
        "scenario": scenario.name,
        "cmdline": command[-1],
        "qemu": command,
        "makedumpfile": share.makedumpfile_version(),
        "dumps": scenario.dumps,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _built(kernel: Kernel) -> dict[str, object]:
    package = apt.deb(kernel.package, kernel.suite, kernel.version)
    return {
        "name": kernel.name,
        "package": kernel.package,
        "version": apt.version(package),
        "configs": kernel.configs,
        "build_id": _build_id(kernel),
    }


def _build_id(kernel: Kernel) -> str:
    notes = work.run("readelf", "--notes", kernel.vmlinux)
    return next((line.split()[-1] for line in notes.splitlines() if "Build ID:" in line), "")


def sums(folder: Path) -> None:
    """Writes the checksums of all files but those that are unpacked from others."""
    unpacked = {path.stem for path in folder.glob("*.zst")} | {"SHA256SUMS"}
    paths = sorted(path for path in folder.iterdir() if path.name not in unpacked)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths]
    (folder / "SHA256SUMS").write_text("".join(lines))
