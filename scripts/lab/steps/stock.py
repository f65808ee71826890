"""Kernels as Debian ships them: unpacked, not built, and without profiling.

They need not know the folder that guest and host share: all that they use lies in
their first file system, and what they report goes to the second serial port. The crash
kernel, one of ours, does the rest.
"""

import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from . import apt, kernel, share, work
from .arch import Architecture, Pages

REPORTS = "reports.tar.gz"
USED = "kernel", "initrd", "kexec", "save.cmdline", "crash.sh", "words.sh", "scenario.sh", "culprit"
"""What of the shared folder the kernel itself uses."""


@dataclass
class Stock:
    """One of kernels/ that is not built.

    Its dumps are saved at its own level.
    """

    name: str
    packages: list[str]
    suite: str
    version: str | None = None
    modules: list[str] = field(default_factory=list)
    saver: str = "7.3"
    level: int = 31

    @property
    def arch(self) -> Architecture:
        """That of its crash kernel."""
        return self.crash_kernel().arch

    @property
    def pages(self) -> Pages:
        """What its machines get: as those of its crash kernel."""
        return self.crash_kernel().pages

    @property
    def page_size(self) -> int:
        """That of its crash kernel, in bytes."""
        return self.crash_kernel().page_size

    @property
    def root(self) -> Path:
        return work.WORK / "stock" / self.name

    @property
    def image(self) -> Path:
        return next(self.root.rglob("vmlinuz*"))

    def crash_kernel(self) -> kernel.Kernel:
        return kernel.load(self.saver)


def make(stock: Stock) -> None:
    """Does whatever of fetching and unpacking is not done yet."""
    if not stock.root.exists():
        for package in stock.packages:
            deb = _package(stock, package)
            work.say(f"unpacking {deb.name}")
            work.run("dpkg-deb", "-x", deb, work.folder("stock", stock.name))
    kernel.make(stock.crash_kernel())


def add_first(folder: Path, stock: Stock, shared: Path) -> None:
    """Fills a folder with the kernel that will crash and its first file system."""
    shutil.rmtree(folder, ignore_errors=True)
    lab = folder / "lab"
    for name in "out", "modules":
        (lab / name).mkdir(parents=True)
    for name in USED:
        path = shared / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, lab / name)
    for name in stock.modules:
        _add_module(lab / "modules", stock, name)
    (lab / "stock").write_text("".join(f"{name}\n" for name in stock.modules))
    (lab / "second").write_text(stock.arch.second)
    shutil.copy(stock.image, folder / "kernel")
    initrd = folder / "initrd.cpio"
    initrd.write_bytes(share.initrd(stock.arch, lab))
    # Small, since guests are: it and what is unpacked are in memory at the same time.
    work.run("zstd", "-12", "--quiet", "--rm", initrd, "-o", folder / "initrd")


def qemu(stock: Stock) -> list[str]:
    """Returns QEMU's arguments for the port that the reports come from."""
    return stock.arch.second_serial(f"file,path={REPORTS}")


def take_reports(run: Path) -> None:
    """Unpacks what the kernel reported before it crashed."""
    try:
        with tarfile.open(run / REPORTS) as reports:
            reports.extractall(run / "share", filter="data")
    except (tarfile.ReadError, EOFError) as error:
        raise work.LabError(f"{run / REPORTS} is not whole: {error}") from None


def made(stock: Stock) -> dict[str, object]:
    return {
        "name": stock.name,
        "package": stock.packages[0],
        "version": apt.version(_package(stock, stock.packages[0])),
        "configs": [],
        "crash_kernel": stock.saver,
    }


def _package(stock: Stock, name: str) -> Path:
    return apt.deb(name, stock.suite, stock.version, stock.arch)


def _add_module(folder: Path, stock: Stock, name: str) -> None:
    (path,) = stock.root.rglob(f"{name}.ko*")
    if path.suffix == ".xz":
        shutil.copy(path, folder)
        work.run("unxz", folder / path.name)
    else:
        shutil.copy(path, folder)
