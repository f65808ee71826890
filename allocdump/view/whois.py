# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers at an address as a document."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.mm.whois import Layer, Location
from ..kernel.tags.sites import Sites
from ..sentence import Value, say
from ..text import printable
from .model import Code, Document, Line, Section


def document(sites: Sites, found: Location) -> Document:
    """The layers that an address is in, from the innermost outwards."""
    query = printable(found.query.encode())
    layers = [line for layer in found.layers for line in _layer(sites, layer)]
    return Document("Whois", query, sections=[
        Section(query, [Code([f"{query} = {found.address:#x}", *layers])])
    ])  # fmt: skip


def _layer(sites: Sites, layer: Layer) -> Iterator[Line]:
    values: dict[str, Value] = {"what": layer.what}
    template = "  {what}"
    if layer.start is not None:
        template += " {start}"
        values["start"] = f"{layer.start:#x}"
    if layer.size is not None:
        template += ", {size:bytes}"
        values["size"] = layer.size
    yield say(template, **values)
    detail = ", ".join(f"{k} {v}" if v is not True else k for k, v in layer.detail.items())
    if detail:
        yield f"      {detail}"
    if layer.site is not None:
        gone = " (module unloaded)" if sites.unloaded[layer.site] else ""
        yield f"      site: {sites.name(layer.site).tag}{gone}   (by {layer.evidence})"
    elif layer.evidence:
        yield f"      no site: {layer.evidence}"
