# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unpacks the bundled dumps that are packed: ``vmcore.zst`` becomes ``vmcore`` beside it.

``scripts/lab pack`` packs them. ``scripts/setup`` runs this; what is unpacked already stays.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import zstandard

TESTDATA = Path(__file__).parent.parent / "testdata"


def unpack(packed: Path) -> None:
    """Write what a file holds beside it, unless that is there and newer; whole or not at all."""
    target = packed.with_suffix("")
    if target.exists() and target.stat().st_mtime_ns >= packed.stat().st_mtime_ns:
        return
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    with packed.open("rb") as source, NamedTemporaryFile(dir=packed.parent, delete=False) as made:
        try:
            reader.copy_stream(source, made)
        except BaseException:
            os.unlink(made.name)
            raise
    os.chmod(made.name, 0o644)
    os.replace(made.name, target)


def main() -> None:
    for packed in sorted(TESTDATA.glob("*/*.zst")):
        unpack(packed)


if __name__ == "__main__":
    main()
