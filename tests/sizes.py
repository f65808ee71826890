# SPDX-License-Identifier: LGPL-2.1-or-later
"""Size of what an installation without extras brings: ``python -m tests.sizes`` prints it.

As the RECORD files of the distributions have it, which pip writes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import allocdump

MEGABYTE = 1_000_000
LIMIT = 250
"""Megabytes that all of it may take."""

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def needed() -> list[str]:
    """Names of the distributions that allocdump needs without extras, and of those that they do."""
    lines = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    found: list[str] = []
    while lines:
        line = lines.pop()
        match = re.match(r"[\w.-]+", line)
        if not match or re.search(r";.*\bextra\b", line):
            continue
        name = re.sub(r"[-_.]+", "-", match[0]).lower()
        if name not in found:
            found.append(name)
            lines += distribution(name).requires or []
    return found


def sizes() -> dict[str, int | None]:
    """Bytes of allocdump and of each distribution; None for one that has no RECORD."""
    own = (path for path in Path(allocdump.__file__).parent.rglob("*") if path.is_file())
    found: dict[str, int | None] = {"allocdump": sum(path.stat().st_size for path in own)}
    for name in needed():
        files = distribution(name).files
        paths = [Path(str(file.locate())) for file in files or []]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        found[name] = None if files is None else size
    return found


def main() -> None:
    """Print a line for each, largest first, and the sum."""
    found = sizes()
    for name, size in sorted(found.items(), key=lambda item: -(item[1] or 0)):
        print(f"{name:12}", "unknown" if size is None else f"{size / MEGABYTE:6.1f} MB")
    total = sum(size or 0 for size in found.values()) / MEGABYTE
    print(f"{'all':12} {total:6.1f} MB, of at most {LIMIT}")
    sys.exit(total > LIMIT)


if __name__ == "__main__":
    main()
