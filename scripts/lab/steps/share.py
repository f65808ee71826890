"""The folder that guest and host share, and the guest's first file system."""

import shutil
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import apt, work
from .kernel import Kernel

GUEST = work.LAB / "guest"
TOOLS = tomllib.loads((GUEST / "tools.toml").read_text())
BUSYBOX = Path("/bin/busybox")
FOLDERS = "bin", "proc", "sys", "dev", "lab", "host"
# The crash kernel has little memory and one task; its own profile is of no use.
SAVE_CMDLINE = (
    "console=ttyS0 quiet nr_cpus=1 reset_devices "
    "cgroup_disable=memory sysctl.vm.mem_profiling=never"
)


def make(share: Path, kernel: Kernel, script: Path, dumps: list[str]) -> None:
    """Fills a new shared folder for one run."""
    shutil.rmtree(share, ignore_errors=True)
    (share / "out").mkdir(parents=True)
    shutil.copy(script, share / "scenario.sh")
    for name in "crash.sh", "save.sh":
        shutil.copy(GUEST / name, share)
    (share / "dumps").write_text("".join(f"{line}\n" for line in dumps))
    (share / "save.cmdline").write_text(SAVE_CMDLINE)
    add_kernel(share, kernel)
    shutil.copy(_culprit(), share / "culprit")
    shutil.copytree(_kexec(), share / "kexec")
    shutil.copytree(_makedumpfile(), share / "makedumpfile")


def add_kernel(share: Path, kernel: Kernel) -> None:
    """Adds what every guest needs: kernel, first file system, modules."""
    shutil.copy(kernel.image, share / "bzImage")
    (share / "initrd").write_bytes(initrd())
    modules = share / "modules"
    modules.mkdir()
    for path in kernel.stripped():
        shutil.copy(path, modules)


def makedumpfile_version() -> str:
    return apt.version(apt.deb("makedumpfile", TOOLS["suite"], TOOLS["makedumpfile"]))


def _culprit() -> Path:
    """Returns the program that eats memory, compiled again when its source is newer."""
    source, program = GUEST / "culprit.c", work.folder("tools") / "culprit"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        work.run("gcc", "-O2", "-static", "-Wall", "-s", "-o", program, source)
    return program


def _kexec() -> Path:
    """Returns a folder with this machine's kexec and the libraries it needs."""
    folder = work.folder("tools", "kexec")
    if not (folder / "kexec").exists():
        kexec = shutil.which("kexec", path="/sbin:/usr/sbin:/bin:/usr/bin")
        if not kexec:
            raise work.LabError("kexec is missing: install kexec-tools")
        for line in work.run("ldd", kexec).splitlines():
            path = next((word for word in line.split() if word.startswith("/")), None)
            if path:
                shutil.copy(path, folder / _library_name(path))
        shutil.copy(kexec, folder / "kexec")
    return folder


def _makedumpfile() -> Path:
    """Returns a folder with makedumpfile and all its libraries."""
    folder = work.folder("tools", "makedumpfile")
    if not (folder / "makedumpfile").exists():
        root = work.folder("tools", "root")
        for package in TOOLS["packages"]:
            version = TOOLS.get(package)
            work.run("dpkg-deb", "-x", apt.deb(package, TOOLS["suite"], version), root)
        for path in _files(root):
            if ".so" in path.name and "gconv" not in str(path):
                shutil.copy(path, folder / _library_name(path.name))
        shutil.copy(root / "usr/bin/makedumpfile", folder)
    return folder


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.exists() and path.is_file())


def _library_name(path: str) -> str:
    name = Path(path).name
    return "ld.so" if name.startswith("ld-linux") else name


def initrd(lab: Path | None = None) -> bytes:
    """Returns a cpio archive with busybox and init; the dump holds its files too.

    With lab, that folder is in it, in the place of the shared one.
    """
    if not BUSYBOX.exists():
        raise work.LabError("busybox is missing: install busybox-static")
    folder, executable = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    archive = b"".join(_cpio(name, folder) for name in FOLDERS)
    archive += _cpio("bin/busybox", executable, BUSYBOX.read_bytes())
    archive += _cpio("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive += _cpio("init", executable, (GUEST / "init").read_bytes())
    if lab:
        for path in sorted(lab.rglob("*")):
            name = f"lab/{path.relative_to(lab)}"
            if path.is_dir():
                archive += _cpio(name, folder)
            else:
                archive += _cpio(name, executable, path.read_bytes())
    return archive + _cpio("TRAILER!!!", 0)


def _cpio(name: str, mode: int, data: bytes = b"") -> bytes:
    """Returns one member of a cpio archive in the kernel's "newc" format."""
    path = name.encode() + b"\0"
    fields = 0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
