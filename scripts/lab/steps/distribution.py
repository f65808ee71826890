"""The configuration that a distribution ships for its own kernel, cut to what two cores build.

What is built in stays, unless it belongs to hardware that no guest has; modules go, unless they
are asked for. Kconfig decides the rest, so a switch turns off all below it.
"""

import lzma
import re
import tarfile
import tomllib
from pathlib import Path

from . import apt, work

CUT = work.LAB / "configs" / "cut.toml"


def lines(package: str, suite: str, version: str | None, debian: str) -> list[str]:
    """The lines of the configuration for one of Debian's architectures in a package, cut."""
    rules = tomllib.loads(CUT.read_text())
    off, modules = set(rules["off"]), set(rules["modules"])
    out = []
    for line in _shipped(apt.deb(package, suite, version), debian):
        found = re.fullmatch(r"CONFIG_(\w+)=([ym])", line)
        if found and (found[1] in off or (found[2] == "m" and found[1] not in modules)):
            line = f"# CONFIG_{found[1]} is not set"
        out.append(line)
    return out


def _shipped(package: Path, debian: str) -> list[str]:
    inside = rf"\./usr/src/linux-config-[^/]*/config\.{debian}_none_{debian}\.xz"
    archive = work.folder("distribution") / f"{package.stem}.tar"
    work.run("sh", "-ec", 'dpkg-deb --fsys-tarfile "$1" > "$2"', "sh", package, archive)
    with tarfile.open(archive) as files:
        for member in files:
            if re.fullmatch(inside, member.name) and (data := files.extractfile(member)):
                return lzma.decompress(data.read()).decode().splitlines()
    raise work.LabError(f"{package.name} has no configuration for {debian}")
