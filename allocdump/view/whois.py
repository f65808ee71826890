# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers at an address as a document."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.mm.whois import Layer, Location
from ..kernel.stacks.history import Event
from ..kernel.tags.sites import Sites
from ..sentence import Value, say
from ..text import printable
from .model import CodeBlock, Document, Line, Section


def document(sites: Sites, found: Location) -> Document:
    """The layers that an address is in, from the innermost outwards."""
    query = printable(found.query.encode())
    layers = [line for layer in found.layers for line in _layer(sites, layer)]
    if found.alternative:
        layers.append(_alternative(sites, found.alternative))
    return Document("Whois", query, sections=[
        Section(query, [CodeBlock([f"{query} = {found.address:#x}", *layers], shell=False)])
    ])  # fmt: skip


def _alternative(sites: Sites, layer: Layer) -> Line:
    """One line for the other reading of an address."""
    place, values = _place(layer)
    values["site"] = _site(sites, layer)
    return say("  or, as a per-CPU pointer: " + place + "; {site}", **values)


def _layer(sites: Sites, layer: Layer) -> Iterator[Line]:
    place, values = _place(layer)
    yield say("  " + place, **values)
    detail = ", ".join(f"{k} {v}" if v is not True else k for k, v in layer.detail.items())
    if detail:
        yield f"      {detail}"
    site = _site(sites, layer)
    if site:
        yield f"      {site}"
    for event in layer.history:
        yield from _event(event)


def _event(event: Event) -> Iterator[Line]:
    """One line, and one for each frame of the stack."""
    template = "      {what}"
    values: dict[str, Value] = {"what": event.what, "source": event.source}
    if event.comm:
        template += " by {task}"
        values["task"] = event.comm
    for name, value in ("pid", event.pid), ("CPU", event.cpu):
        if value is not None:
            template += f", {name} {{{name}:number}}"
            values[name] = value
    if event.age is not None:
        template += ", age {age:seconds}"
        values["age"] = event.age
    yield say(template + "   (by {source})", **values)
    for place in event.stack:
        yield f"          {place.label}"
    if not event.stack:
        yield "          no stack was kept"


def _place(layer: Layer) -> tuple[str, dict[str, Value]]:
    """Name, start and size of a layer: a template and its values."""
    values: dict[str, Value] = {"what": layer.what}
    template = "{what}"
    if layer.start is not None:
        template += " {start}"
        values["start"] = f"{layer.start:#x}"
    if layer.size is not None:
        template += ", {size:bytes}"
        values["size"] = layer.size
    return template, values


def _site(sites: Sites, layer: Layer) -> str:
    """The site in words, or the reason why there is none; empty if neither is known."""
    if layer.site is not None:
        gone = " (module unloaded)" if sites.unloaded[layer.site] else ""
        name = sites.name(layer.site)
        if not name.is_site:
            reason = f"   (no site: {layer.evidence})" if layer.evidence else ""
            return f"origin: {name.label}{reason}"
        return f"site: {sites.name(layer.site).tag}{gone}   (by {layer.evidence})"
    return f"no site: {layer.evidence}" if layer.evidence else ""
