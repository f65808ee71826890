# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report as the kernel prints it in /proc/allocinfo, byte for byte.

Mirrors ``alloc_tag_to_text()`` in ``lib/alloc_tag.c`` and ``codetag_to_text()`` in
``lib/codetag.c``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.tags.sites import SiteName, Sites


def render(header: str, sites: Sites) -> Iterator[str]:
    """Lines with their line ends; *header* comes from the dump."""
    yield header
    columns = (
        sites.bytes.tolist(),
        sites.calls.tolist(),
        sites.file,
        sites.line.tolist(),
        sites.module,
        sites.function,
        sites.inaccurate.tolist(),
    )
    for size, calls, file, line, module, function, inaccurate in zip(*columns, strict=True):
        tag = SiteName(file, line, function, module).tag
        accurate = " accurate:no" if inaccurate else ""
        yield f"{size:12} {calls:8} {tag}{accurate} \n"
