# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as folded stacks for flame graphs: ``directory;file:line;function BYTES``."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis.report import directory
from ..kernel.tags.sites import Sites


def render(sites: Sites) -> Iterator[str]:
    """One line per site that holds memory; flame graphs know no negative sizes."""
    columns = (sites.file, sites.line.tolist(), sites.function, sites.module, sites.bytes.tolist())
    for file, line, function, module, size in zip(*columns, strict=True):
        if size > 0:
            base = file.rpartition("/")[2]
            frames = (directory(file, module), f"{base}:{line}", function)
            yield f"{';'.join(frame.replace(';', ':') for frame in frames)} {size}\n"
