"""Architectures: all that the lab says about one of them."""

from dataclasses import dataclass

from . import work


@dataclass(frozen=True)
class Pages:
    """What one page size costs, in MiB of memory: larger pages, larger everything."""

    crashkernel: int
    """Reserved for the kernel that saves the dump."""
    extra: int = 0
    """What a machine has more than its scenario says."""


@dataclass(frozen=True)
class Architecture:
    name: str
    """As `uname -m` tells it, and a file of configs/, which each of its kernels has."""
    debian: str
    kbuild: str
    """ARCH of the kernel's makefiles."""
    image: str
    """In the build tree: what QEMU and kexec load."""
    machine: tuple[str, ...]
    """QEMU's arguments for machine and processor."""
    qemu_package: str
    console: str
    second: str
    """The second serial port, as the guest knows it."""
    serial: tuple[str, ...]
    """QEMU's arguments for that port, a character device called "second"."""
    pages: dict[int, Pages]
    """By page size in bytes."""
    programs: tuple[str, ...] = ()
    """QEMU's arguments for guests that run this machine's own programs."""
    cross: str = ""
    """Prefix of compiler and binary utilities, if this machine cannot run what they make."""

    @property
    def qemu(self) -> str:
        """QEMU's program."""
        return f"qemu-system-{self.name}"

    @property
    def qemu_missing(self) -> str:
        return f"{self.qemu} is missing: install {self.qemu_package}"

    def second_serial(self, backend: str) -> list[str]:
        """Returns QEMU's arguments for the second serial port, with what is behind it."""
        return ["-chardev", f"{backend},id=second", *self.serial]

    def tool(self, name: str) -> str:
        """Returns the name of its compiler or of one of its binary utilities."""
        return f"{self.cross}{name}"


HOST = "x86_64"
"""What the lab itself runs on."""

KNOWN = {
    "x86_64": Architecture(
        name="x86_64",
        debian="amd64",
        kbuild="x86",
        image="arch/x86/boot/bzImage",
        machine=(),
        qemu_package="qemu-system-x86",
        console="ttyS0",
        second="ttyS1",
        serial=("-serial", "chardev:second"),
        pages={4 << 10: Pages(crashkernel=80)},
        programs=("-cpu", "max"),
    ),
    "aarch64": Architecture(
        name="aarch64",
        debian="arm64",
        kbuild="arm64",
        image="arch/arm64/boot/Image",
        # Memory has tags, for kernels that want them; return addresses are signed in a quick way.
        machine=("-M", "virt,gic-version=3,mte=on", "-cpu", "max,pauth-impdef=on"),
        qemu_package="qemu-system-arm",
        console="ttyAMA0",
        second="ttyS0",
        serial=("-device", "pci-serial,chardev=second"),
        pages={
            4 << 10: Pages(crashkernel=96, extra=96),
            16 << 10: Pages(crashkernel=128, extra=224),
            64 << 10: Pages(crashkernel=320, extra=800),
        },
        cross="aarch64-linux-gnu-",
    ),
}


X86_KERNEL_MAP = 0xFFFFFFFF80000000
"""__START_KERNEL_map, where an image is mapped from phys_base on."""


def image_shift(vmcoreinfo: dict[str, str]) -> int:
    """Returns what makes an address inside a kernel's image a physical one, when it is added."""
    if offset := vmcoreinfo.get("NUMBER(kimage_voffset)"):
        return -int(offset, 0)
    return int(vmcoreinfo["NUMBER(phys_base)"], 0) - X86_KERNEL_MAP


def load(name: str) -> Architecture:
    try:
        return KNOWN[name]
    except KeyError:
        known = ", ".join(KNOWN)
        raise work.LabError(
            f"the lab does not know the architecture {name}: one of {known}"
        ) from None
