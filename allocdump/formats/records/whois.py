# SPDX-License-Identifier: LGPL-2.1-or-later
"""Layers at an address as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...kernel.mm.whois import Layer, Location
from ...kernel.stacks.history import Event
from ...kernel.tags.sites import Sites
from ...text import printable
from .json_text import Record, line
from .site import origin_record

if TYPE_CHECKING:
    from ...analysis.referrers import Referrer, Referrers


def as_json(sites: Sites, found: Location, referrers: Referrers | None = None) -> str:
    """One line."""
    record = {
        "query": printable(found.query.encode()),
        "address": f"{found.address:#x}",
        "layers": [_layer(sites, one) for one in found.layers],
        "alternative": found.alternative and _layer(sites, found.alternative),
    }
    return line(record | ({"referrers": _referrers(sites, referrers)} if referrers else {}))


def _referrers(sites: Sites, answer: Referrers) -> Record:
    return {
        "to": answer.target.what,
        "start": f"{answer.target.start or 0:#x}",
        "size": answer.target.size,
        "symbol": answer.symbol or None,
        "count": answer.count,
        "itself": answer.itself,
        "found": [_referrer(sites, one) for one in answer.found],
        "others": [{"what": one.what, "count": one.count} for one in answer.others],
        "not_searched": answer.not_searched,
    }


def _referrer(sites: Sites, one: Referrer) -> Record:
    return {
        "address": None if one.address is None else f"{one.address:#x}",
        "word": f"{one.word:#x}",
        "way": one.way.value,
        "into": one.into,
        "into_member": one.into_member or None,
        "holder": _layer(sites, one.holder),
        "offset": one.offset,
        "member": one.member or None,
    }


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
