# SPDX-License-Identifier: LGPL-2.1-or-later
"""The schemas in docs/schemas: ``python -m tests.schemas`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from allocdump.formats.schemas import NAMES, as_text

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"


def texts() -> dict[Path, str]:
    """Files and their contents, as ``allocdump schema`` prints them."""
    return {FOLDER / f"{name}.json": as_text(name) for name in NAMES}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for path, text in texts().items():
        path.write_text(text)
