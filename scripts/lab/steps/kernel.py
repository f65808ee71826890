"""Kernels: from a Debian source package to an image, vmlinux and our modules."""

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from . import apt, arch, distribution, work
from .arch import Architecture, Pages

MODULES = work.LAB / "modules"


@dataclass
class Kernel:
    """One of kernels/, and where its parts are in the work folder."""

    name: str
    package: str
    suite: str
    configs: list[str]
    version: str | None = None
    architecture: str = arch.HOST
    cflags: str = ""
    extra: int = 0
    """What its machines have more than their scenarios say, in MiB."""
    saver: str | None = None
    """The kernel that saves its dumps, if not itself."""
    distribution: str | None = None
    """A package with a distribution's configuration to start from, instead of nothing."""

    @property
    def arch(self) -> Architecture:
        return arch.load(self.architecture)

    @property
    def page_size(self) -> int:
        """In bytes; known when it is configured."""
        config = (self.build / ".config").read_text()
        (shift,) = re.findall(r"^CONFIG_PAGE_SHIFT=(\d+)$", config, re.M)
        return 1 << int(shift)

    @property
    def pages(self) -> Pages:
        """What its page size, or that of the kernel that saves, costs its machines, and itself."""
        saver = self.crash_kernel()
        pages = saver.arch.pages[saver.page_size]
        return replace(pages, extra=pages.extra + self.extra)

    def crash_kernel(self) -> "Kernel":
        return load(self.saver) if self.saver else self

    @property
    def source(self) -> Path:
        return work.WORK / "src" / self.package

    @property
    def build(self) -> Path:
        return work.WORK / "build" / self.name

    @property
    def image(self) -> Path:
        return self.build / self.arch.image

    @property
    def vmlinux(self) -> Path:
        return self.build / "vmlinux"

    @property
    def modules(self) -> Path:
        return work.WORK / "modules" / self.name

    def stripped(self) -> list[Path]:
        return sorted((self.modules / "stripped").glob("*.ko"))


def load(name: str) -> Kernel:
    return Kernel(name=name, **work.describe("kernels", name))


def make(kernel: Kernel) -> None:
    """Does whatever of fetching, configuring and building is not done yet."""
    if not kernel.source.exists():
        _unpack(kernel)
    if not kernel.image.exists():
        _configure(kernel)
        _build(kernel)
    _build_modules(kernel)
    if kernel.saver:
        make(kernel.crash_kernel())


def _unpack(kernel: Kernel) -> None:
    package = apt.deb(kernel.package, kernel.suite, kernel.version)
    work.say(f"unpacking {package.name}")
    inside = f"./usr/src/{kernel.package}.tar.xz"
    work.run(
        "sh", "-ec",
        'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" | tar -xJ -C "$3"',
        "sh", package, inside, work.folder("src"),
    )  # fmt: skip


def _configure(kernel: Kernel) -> None:
    """Starts from nothing, or from a distribution's, and adds our fragments; later lines win."""
    work.folder("build", kernel.name)
    fragment, log = kernel.build / "fragment", kernel.build / "config.log"
    lines = [line for name in kernel.configs for line in _config(name)]
    if kernel.distribution:
        shipped = distribution.lines(
            kernel.distribution, kernel.suite, kernel.version, kernel.arch.debian
        )
        text = "".join(f"{line}\n" for line in shipped + lines)
        (kernel.build / ".config").write_text(text)
        make_target(kernel, "olddefconfig", log=log)
    else:
        lines = _config(kernel.arch.name) + lines
        fragment.write_text("".join(f"{line}\n" for line in lines))
        make_target(kernel, "allnoconfig", f"KCONFIG_ALLCONFIG={fragment}", log=log)

    wanted = {line.split("=")[0]: line for line in lines if line.startswith("CONFIG_")}
    for line in lines:
        if line.startswith("# CONFIG_"):
            wanted.pop(line.split()[1], None)
    taken = (kernel.build / ".config").read_text().splitlines()
    for line in sorted(set(wanted.values()) - set(taken)):
        work.say(f"this kernel does not know or need {line}")


def _config(name: str) -> list[str]:
    return (work.LAB / "configs" / f"{name}.config").read_text().splitlines()


def _build(kernel: Kernel) -> None:
    work.say(f"building kernel {kernel.name}, which takes minutes")
    # Debug information must not name the folders of whoever built it.
    flags = (
        f"{kernel.cflags} -fdebug-prefix-map={kernel.build}=. -fdebug-prefix-map={kernel.source}=."
    )
    make_target(
        kernel, Path(kernel.arch.image).name, "modules", f"KCFLAGS={flags}", f"KAFLAGS={flags}",
        log=kernel.build / "build.log",
    )  # fmt: skip


def _build_modules(kernel: Kernel) -> None:
    """Builds modules/ in the work folder, again when a source is newer."""
    folder = work.folder("modules", kernel.name)
    sources = [path for path in MODULES.iterdir() if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    if (stripped := kernel.stripped()) and min(path.stat().st_mtime for path in stripped) > newest:
        return
    work.say(f"building our modules for {kernel.name}")
    for path in sources:
        shutil.copy(path, folder)
    make_target(kernel, f"M={folder}", "modules", log=folder / "build.log")
    for path in folder.glob("*.ko"):
        small = work.folder("modules", kernel.name, "stripped") / path.name
        # Without debug sections, but with BTF, as distributions ship modules.
        work.run(
            kernel.arch.tool("strip"), "--strip-debug", "--keep-section=.BTF", "-o", small, path
        )  # fmt: skip


def make_target(kernel: Kernel, *words: str, log: Path) -> None:
    """Runs the kernel's makefile."""
    # Nothing built may name the folders, the machine and the user that built it.
    folders = kernel.build, kernel.source, kernel.modules
    flags = " ".join([kernel.cflags, *(f"-fdebug-prefix-map={folder}=." for folder in folders)])
    work.run(
        "make", "-C", kernel.source, f"O={kernel.build}", f"-j{(os.cpu_count() or 1) + 1}",
        f"ARCH={kernel.arch.kbuild}", f"CROSS_COMPILE={kernel.arch.cross}",
        f"KCFLAGS={flags}", f"KAFLAGS={flags}", "KBUILD_BUILD_USER=lab", "KBUILD_BUILD_HOST=lab",
        *words, log=log,
    )  # fmt: skip
