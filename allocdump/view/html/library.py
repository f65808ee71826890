# SPDX-License-Identifier: LGPL-2.1-or-later
"""The charting library that goes into a page: plotly.js, from the plotly package."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ...errors import extra


@dataclass(frozen=True)
class Library:
    """A script, and what it is put into a page as."""

    text: str
    packed: str
    """Compressed, in base64: a third of its size, and a browser unpacks it in no time."""
    notice: str
    """Its licence asks for this."""


@cache
def plotly() -> Library:
    """plotly.js, which the plotly package brings along; nothing is downloaded.

    :raises ExtraError: if it is not installed
    """
    with extra("html"):
        try:
            raw = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
        except OSError:
            raise ModuleNotFoundError(name="plotly") from None
    notice = raw[: raw.find(b"*/")].decode().strip("/* \n")
    return Library(
        text=raw.decode(),
        packed=base64.b64encode(gzip.compress(raw, mtime=0)).decode(),
        notice=" ".join(line.strip("* ") for line in notice.splitlines()),
    )
