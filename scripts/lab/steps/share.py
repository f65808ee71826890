"""The folder that guest and host share, and the guest's first file system."""

import re
import shutil
import stat
import tomllib
from pathlib import Path

from . import apt, work
from .arch import Architecture
from .kernel import Kernel

GUEST = work.LAB / "guest"
TOOLS = tomllib.loads((GUEST / "tools.toml").read_text())
FOLDERS = "bin", "proc", "sys", "dev", "lab", "host"
# The crash kernel has little memory and one task; its own profile is of no use.
SAVE_CMDLINE = "quiet nr_cpus=1 reset_devices cgroup_disable=memory sysctl.vm.mem_profiling=never"
NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.*)\]")


def make(share: Path, kernel: Kernel, script: Path, dumps: list[str]) -> None:
    """Fills a new shared folder for one run."""
    shutil.rmtree(share, ignore_errors=True)
    (share / "out").mkdir(parents=True)
    shutil.copy(script, share / "scenario.sh")
    for name in "crash.sh", "words.sh", "save.sh":
        shutil.copy(GUEST / name, share)
    (share / "dumps").write_text("".join(f"{line}\n" for line in dumps))
    (share / "save.cmdline").write_text(f"console={kernel.arch.console} {SAVE_CMDLINE}")
    add_kernel(share, kernel)
    if kernel.saver:
        shutil.copy(kernel.crash_kernel().image, share / "saver")
    shutil.copy(_culprit(kernel.arch), share / "culprit")
    for path in "usr/sbin/kexec", "usr/bin/makedumpfile":
        _add_program(share / Path(path).name, _root(kernel.arch), path)


def add_kernel(share: Path, kernel: Kernel) -> None:
    """Adds what every guest needs: kernel, first file system, modules."""
    shutil.copy(kernel.image, share / "kernel")
    (share / "initrd").write_bytes(initrd(kernel.arch))
    modules = share / "modules"
    modules.mkdir()
    for path in kernel.stripped():
        shutil.copy(path, modules)


def folder(tag: str, path: str, options: str = "") -> list[str]:
    """Returns QEMU's arguments for a folder that the guest finds by its tag."""
    return [
        "-fsdev", f"local,id={tag},path={path},security_model=none{options}",
        "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
    ]  # fmt: skip


def makedumpfile_version() -> str:
    return apt.version(_package("makedumpfile", apt.HOST))


def _culprit(architecture: Architecture) -> Path:
    """Returns the program that eats memory, compiled again when its source is newer."""
    source = GUEST / "culprit.c"
    program = work.folder("tools", architecture.name) / "culprit"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        work.run(architecture.tool("gcc"), "-O2", "-static", "-Wall", "-s", "-o", program, source)
    return program


def _root(architecture: Architecture) -> Path:
    """Returns a folder with all packages that guests need, unpacked."""
    root = work.folder("tools", architecture.name, "root")
    if not (root / "usr/bin/makedumpfile").exists():
        for package in TOOLS["packages"]:
            work.run("dpkg-deb", "-x", _package(package, architecture), root)
    return root


def _package(name: str, architecture: Architecture) -> Path:
    return apt.deb(name, TOOLS["suite"], TOOLS.get(name), architecture)


def _add_program(target: Path, root: Path, program: str) -> None:
    """Fills a folder with a program, every library that it needs, and what loads them, `ld.so`."""
    libraries = {path.name: path for path in root.rglob("*.so*") if "gconv" not in str(path)}
    target.mkdir()
    names, path = [], root / program
    shutil.copy(path, target)
    while True:
        names += NEEDED.findall(work.run("readelf", "--dynamic", path))
        names = [name for name in names if not (target / _library_name(name)).exists()]
        if not names:
            return
        if names[0] not in libraries:
            raise work.LabError(f"{program} needs {names[0]}: name its package in guest/tools.toml")
        path = libraries[names[0]]
        shutil.copy(path, target / _library_name(names[0]))


def _library_name(name: str) -> str:
    return "ld.so" if name.startswith("ld-linux") else name


def initrd(
    architecture: Architecture, lab: Path | None = None, init: Path = GUEST / "init"
) -> bytes:
    """Returns a cpio archive with busybox and init; the dump holds its files too.

    With lab, that folder is in it, in the place of the shared one.
    """
    busybox = _root(architecture) / "usr/bin/busybox"
    directory, executable = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    archive = b"".join(_cpio(name, directory) for name in FOLDERS)
    archive += _cpio("bin/busybox", executable, busybox.read_bytes())
    archive += _cpio("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive += _cpio("init", executable, init.read_bytes())
    if lab:
        for path in sorted(lab.rglob("*")):
            name = f"lab/{path.relative_to(lab)}"
            if path.is_dir():
                archive += _cpio(name, directory)
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
