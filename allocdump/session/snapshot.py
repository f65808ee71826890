# SPDX-License-Identifier: LGPL-2.1-or-later
"""Call sites from whatever was kept of them: a dump, /proc/allocinfo, or a saved report."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..analysis.diff import Snapshot
from ..errors import DumpError
from ..formats.saved import NotAReportError, parse_report
from ..kernel.tags.header import KNOWN_VERSIONS, is_listing, parse_listing
from ..kernel.tags.sites import Provenance
from ..source.compressed import CompressedError, expanded
from ..source.core import looks_like_core
from ..source.image import may_be_raw
from ..text import printable

# A hundred thousand sites, as many as the kernel has room for in modules, are 10 MiB of
# text and 40 MiB of JSON.
_MAX_SIZE = 128 << 20
_HEAD = 1 << 16
STANDARD_INPUT = "-"


def open_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """Read a vmcore, a saved /proc/allocinfo, or a report saved as JSON.

    Texts may be compressed with gzip, xz or Zstandard, and come from standard input: ``-``.
    Sites whose size nothing tells are left out, and counted in a warning.

    :raises AllocdumpError: if it is none of these, or cannot be read
    """
    name = os.fspath(path)
    shown = "standard input" if name == STANDARD_INPUT else printable(os.fsencode(name))
    try:
        with _opened(name) as file:
            parts = expanded(file)
            head = _read(parts, _HEAD)
            read = _reader(head)
            if looks_like_core(name, head) or (read is None and _may_be_raw(file)):
                return _known_sizes(_from_dump(name, shown))
            if read is None:
                raise DumpError(
                    f"{shown} is {'not' if head else 'empty, and not'} a dump, a saved"
                    " /proc/allocinfo, or a report saved with --format json; name one of these."
                )
            text = head + _read(parts, _MAX_SIZE)
            if len(text) >= _MAX_SIZE:
                raise DumpError(f"{shown} is larger than the sites of any kernel; check it.")
            return _known_sizes(read(shown, text))
    except CompressedError as e:
        raise DumpError(f"{shown} {e}; save it again.") from None
    except FileNotFoundError:
        raise DumpError(f"{shown} does not exist; check the path.") from None
    except IsADirectoryError:
        raise DumpError(f"{shown} is a directory; name a file in it.") from None
    except OSError as e:
        raise DumpError(f"{shown} cannot be read: {e.strerror}.") from None


def _may_be_raw(file: BinaryIO) -> bool:
    """Tell if a file could be an image of memory that begins like nothing known."""
    mode = os.fstat(file.fileno())
    return stat.S_ISREG(mode.st_mode) and may_be_raw(mode.st_size)


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == STANDARD_INPUT else Path(name).open("rb")


def _read(parts: Iterator[bytes], size: int) -> bytes:
    """Parts until they have *size* bytes or more, or are at their end."""
    out = bytearray()
    while len(out) < size and (part := next(parts, None)) is not None:
        out += part
    return bytes(out)


def _reader(head: bytes) -> Callable[[str, bytes], Snapshot] | None:
    if head.lstrip().startswith(b"{"):
        return _from_report
    return _from_listing if is_listing(head) else None


def _from_dump(path: str, shown: str) -> Snapshot:
    if path == STANDARD_INPUT:
        raise DumpError("A dump cannot be read from standard input; name its file.")
    from .. import open as open_dump

    report = open_dump(path).report()
    origin = report.origin
    return Snapshot(
        path=shown,
        kind="dump",
        sites=report.sites,
        system=origin.system,
        reason=origin.reason,
        warnings=list(report.warnings),
    )


def _from_report(path: str, text: bytes) -> Snapshot:
    try:
        saved = parse_report(text)
    except NotAReportError as e:
        raise DumpError(f"{path} {e}.") from None
    out = Snapshot(path, "report", saved.sites, saved.system, saved.reason, saved.warnings)
    if saved.unreadable:
        rows = "row is" if saved.unreadable == 1 else "rows are"
        out.warnings.append(f"{saved.unreadable:,} {rows} damaged and left out.")
    elif saved.held is not None and saved.held != int(saved.sites.bytes.sum()):
        out.warnings.append(
            f"It was saved with --filter, --top or the like: only {len(saved.sites):,} sites are"
            " in it, and what others hold looks new or gone."
        )
    return out


def _from_listing(path: str, text: bytes) -> Snapshot:
    listing = parse_listing(text)
    out = Snapshot(path, "allocinfo", listing.sites)
    if listing.version and listing.version not in KNOWN_VERSIONS:
        out.warnings.append(
            f"It is in version {listing.version} of the format; this allocdump knows"
            f" {' and '.join(KNOWN_VERSIONS)}, and took what looks the same."
        )
    if listing.unreadable:
        lines = "line is" if listing.unreadable == 1 else "lines are"
        out.warnings.append(f"{listing.unreadable:,} {lines} cut or damaged and left out.")
    return out


def _known_sizes(snapshot: Snapshot) -> Snapshot:
    known = snapshot.sites.evidence != Provenance.NONE
    if lost := int(np.count_nonzero(~known)):
        sites = "1 site" if lost == 1 else f"{lost:,} sites"
        snapshot.warnings.append(f"The size of {sites} is unknown and left out.")
        snapshot.sites = snapshot.sites.take(known)
    return snapshot
