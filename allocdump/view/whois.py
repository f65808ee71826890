# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers at an address as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..kernel.mm.whois import Layer, Location
from ..kernel.stacks.history import Event
from ..kernel.tags.sites import Sites
from ..sentence import Value, say
from ..text import printable
from .model import (
    NOT_APPLICABLE,
    Block,
    Cell,
    CodeBlock,
    Column,
    Document,
    Line,
    Section,
    Table,
    Text,
)

if TYPE_CHECKING:
    from ..analysis.referrers import Referrer, Referrers

_MIN = 12
_REFERRERS = (
    Column("at", "code", priority=0),
    Column("what", names=True, priority=0, min_width=_MIN),
    Column("holder", keep="if said", priority=0, min_width=_MIN),
    Column("place", "code", keep="if said", priority=0, min_width=_MIN),
    Column("points to", "code", keep="if said", priority=2, min_width=_MIN),
    Column("as", keep="if said", priority=2),
    Column("site", "path", keep="if said", priority=3, min_width=_MIN),
)


def document(sites: Sites, found: Location, referrers: Referrers | None = None) -> Document:
    """The layers that an address is in, from the innermost outwards, and what points there."""
    query = printable(found.query.encode())
    layers = [line for layer in found.layers for line in _layer(sites, layer)]
    if found.alternative:
        layers.append(_alternative(sites, found.alternative))
    blocks: list[Block] = [CodeBlock([f"{query} = {found.address:#x}", *layers], shell=False)]
    if referrers:
        blocks += _referrers(sites, referrers)
    return Document("Whois", query, sections=[Section(query, blocks)])


def _referrers(sites: Sites, answer: Referrers) -> Iterator[Block]:
    target = answer.target
    own = ", {own:count} of them in itself" if answer.itself else ""
    yield Text([
        say(
            "{count:count pointer} to {what} {name}, {size:bytes}" + own,
            count=answer.count,
            own=answer.itself,
            what=target.what,
            name=answer.symbol or f"{target.start:#x}",
            size=target.size,
        )
    ])  # fmt: skip
    if answer.found:
        left_out = answer.count - len(answer.found)
        rows = [_row(sites, one) for one in answer.found]
        yield Table(_REFERRERS, rows, left_out=left_out, noun="pointer")
    lines: list[Line] = [
        say("  {count:count} in {what}", count=one.count, what=one.what) for one in answer.others
    ]
    if lines:
        yield CodeBlock(["and, not listed:", *lines], shell=False)


def _row(sites: Sites, one: Referrer) -> list[Cell]:
    """Cells of the columns :data:`_REFERRERS`."""
    site = NOT_APPLICABLE if one.holder.site is None else sites.label(one.holder.site)
    offset = "" if one.offset is None else f"+{one.offset:#x}"
    into = f"+{one.into:#x}" if one.into else ""
    return [
        NOT_APPLICABLE if one.address is None else f"{one.address:#x}",
        one.holder.what,
        _holder(one.holder),
        f"{offset} {one.member}".strip(),
        f"{into} {one.into_member}".strip(),
        "" if one.way == "address" else one.way.value,
        site,
    ]


def _holder(layer: Layer) -> str:
    """Name of a holder in a few words."""
    detail = layer.detail
    words = [str(detail[key]) for key in ("cache", "symbol", "task", "caller") if key in detail]
    if "module" in detail:
        words.append(f"[{detail['module']}]")
    if "register" in detail:
        words.append(str(detail["register"]))
    if (layer.start is not None and not words[:1]) or "cache" in detail:
        words.append(f"pfn {detail['pfn']}" if "pfn" in detail else f"{layer.start or 0:#x}")
    if "cpu" in detail:
        words.append(f"on CPU {detail['cpu']}")
    if "maps" in detail:
        words.append(f"maps {detail['maps']}")
    if detail.get("state") in ("free", "below the stack pointer"):
        words.append(f"({detail['state']})")
    return " ".join(words)


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
