# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers at an address as a record."""

from __future__ import annotations

from ...kernel.mm.whois import Layer, Location
from ...kernel.stacks.history import Event
from ...kernel.tags.sites import Sites
from ...text import printable
from .json_text import Record, line
from .site import origin_record


def as_json(sites: Sites, found: Location) -> str:
    """One line."""
    return line(
        {
            "query": printable(found.query.encode()),
            "address": f"{found.address:#x}",
            "layers": [_layer(sites, one) for one in found.layers],
            "alternative": found.alternative and _layer(sites, found.alternative),
        }
    )


def _layer(sites: Sites, one: Layer) -> Record:
    site = None
    if one.site is not None:
        site = origin_record(sites.name(one.site)) | {"unloaded": bool(sites.unloaded[one.site])}
    return {
        "what": one.what,
        "start": None if one.start is None else f"{one.start:#x}",
        "size": one.size,
        "site": site,
        "evidence": one.evidence or None,
        **{key.replace(" ", "_"): value for key, value in one.detail.items()},
        **({"history": [_event(event) for event in one.history]} if one.history else {}),
    }


def _event(event: Event) -> Record:
    return {
        "what": event.what,
        "source": event.source,
        "pid": event.pid,
        "tgid": event.tgid,
        "comm": event.comm,
        "cpu": event.cpu,
        "seconds": event.seconds,
        "age": event.age,
        "stack": [place.label for place in event.stack],
    }
