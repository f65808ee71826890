"""Guests that run this machine's own programs, with all modules of their kernel."""

import shutil
from pathlib import Path

from . import share, work
from .kernel import Kernel, load, make, make_target

PROGRAMS = "holder.py", "traffic.py"
NESTED = "nested.sh"


def add(shared: Path, kernel: Kernel, nested: str | None) -> None:
    """Adds what scenarios with a userland use, and a guest for the guest if one is named."""
    for name in "userland.sh", *PROGRAMS:
        shutil.copy(share.GUEST / name, shared)
    if nested:
        inner, folder = load(nested), shared / "nested"
        make(inner)
        folder.mkdir()
        shutil.copy(inner.image, folder / "kernel")
        (folder / "initrd").write_bytes(share.initrd(inner.arch, init=share.GUEST / NESTED))
    _install(kernel)


def qemu(kernel: Kernel) -> list[str]:
    """Returns QEMU's arguments for the folders with programs and modules, both read-only."""
    return [
        *share.folder("host", "/", ",readonly=on,multidevs=remap"),
        # As seen from the folder of the run.
        *share.folder("modules", f"../../installed/{kernel.name}", ",readonly=on"),
    ]


def _installed(kernel: Kernel) -> Path:
    return work.WORK / "installed" / kernel.name


def _install(kernel: Kernel) -> None:
    """Installs the kernel's own modules where modprobe finds them, again after a build."""
    target = _installed(kernel)
    if target.exists() and target.stat().st_mtime > kernel.image.stat().st_mtime:
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    work.say(f"installing the modules of {kernel.name}")
    make_target(
        kernel, "modules_install", f"INSTALL_MOD_PATH={target}", "INSTALL_MOD_STRIP=1",
        log=kernel.build / "install.log",
    )  # fmt: skip
