"""Debian packages of other suites and architectures, without touching the system's apt.

A private apt root for each architecture is kept in the work folder. It uses the mirror that
this machine's own apt uses, whichever that is, with the suites that we need.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from . import arch, work
from .arch import Architecture

SUITES = "sid", "trixie-backports", "bookworm-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SYSTEM = Path("/etc/apt")
HOST = arch.load(arch.HOST)


def deb(
    package: str, suite: str, version: str | None = None, architecture: Architecture = HOST
) -> Path:
    """Returns a package file, downloaded if it is not there yet.

    Mirrors keep only the newest versions: when the wanted one is gone, the
    newest of the suite takes its place, and the dumps' made.json tells.
    """
    debs = work.folder("debs", *_own(architecture))
    if found := sorted(debs.glob(f"{package}_*.deb")):
        return found[-1]
    options = _root(architecture)
    work.say(f"downloading {package}")
    try:
        if not version:
            raise work.LabError("any version")
        work.run("apt-get", *options, "download", f"{package}={version}", cwd=debs)
    except work.LabError:
        if version:
            work.say(f"{package} {version} is gone, taking the newest of {suite}")
        work.run("apt-get", *options, "download", f"{package}/{suite}", cwd=debs)
    return sorted(debs.glob(f"{package}_*.deb"))[-1]


def version(deb: Path) -> str:
    return work.run("dpkg-deb", "--field", deb, "Version").strip()


def _own(architecture: Architecture) -> list[str]:
    """Returns the name of a folder that other architectures have of their own."""
    return [] if architecture == HOST else [architecture.debian]


def _root(architecture: Architecture) -> list[str]:
    """Returns the options that make apt-get use the private root."""
    own = _own(architecture)
    root = work.folder("apt", *own)
    sources, status = root / "sources.list", root / "status"
    status.touch()
    options = []
    for option in (
        f"Dir::Etc::sourcelist={sources}",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State={work.folder('apt', *own, 'state')}",
        f"Dir::Cache={work.folder('apt', *own, 'cache')}",
        f"Dir::State::status={status}",
        f"APT::Architecture={architecture.debian}",
        f"APT::Architectures={architecture.debian}",
        *(["APT::Sandbox::User=root"] if os.getuid() == 0 else []),
    ):
        options += ["-o", option]
    if not sources.exists():
        main, security = _mirrors()
        addresses = [security if suite.endswith("-security") else main for suite in SUITES]
        lines = [
            f"deb [signed-by={KEYRING}] {address} {suite} main\n"
            for address, suite in zip(addresses, SUITES, strict=True)
        ]
        sources.write_text("".join(lines))
    if not any((root / "state" / "lists").glob("*_Packages*")):
        work.run("apt-get", *options, "update")
    return options


def _mirrors() -> tuple[str, str]:
    """Returns the addresses of the main and the security archive."""
    main = security = ""
    for address, suite in _configured():
        if suite.endswith("-security"):
            security = security or address
        else:
            main = main or address
    if not main:
        raise work.LabError(f"no Debian archive is configured in {SYSTEM}")
    return main, security or main.rstrip("/") + "-security"


def _configured() -> Iterator[tuple[str, str]]:
    """Yields every (address, suite) of this machine's apt configuration."""
    for path in sorted(SYSTEM.glob("sources.list.d/*.sources")):
        for stanza in path.read_text().split("\n\n"):
            fields = dict(
                line.split(":", 1)
                for line in stanza.splitlines()
                if ":" in line and line[0] not in "# \t"
            )
            for address in fields.get("URIs", "").split():
                for suite in fields.get("Suites", "").split():
                    yield address, suite
    for path in [SYSTEM / "sources.list", *sorted(SYSTEM.glob("sources.list.d/*.list"))]:
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            words = line.split("]")[-1].split() if "[" in line else line.split()[1:]
            if line.startswith("deb ") and len(words) > 1:
                yield words[0], words[1]
