# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chapter 2: where memory was, or is."""

from __future__ import annotations

from .evidence import Evidence
from .pins import pinned_bytes
from .shortage import reserve, standing, takes_cma
from .verdict import Chapter, Field, Records

_WORTH = 0.001
"""Smallest share of all memory for a class to be on a page for people."""


def memory(case: Evidence, top: int | None) -> Chapter:
    """The account of all memory, zones against their watermarks, swap, reclaimable memory."""
    section = Chapter("memory", "Where memory is" if case.machine.alive else "Where memory was")
    if case.swap is None:
        section.say("swap", "swap", "unreadable")
    elif case.swap.total:
        section.say(
            "swap",
            "swap",
            "{used:bytes} of {total:bytes} used",
            used=case.swap.used,
            total=case.swap.total,
        )
    else:
        section.say("swap", "swap", "none")
    _boot(section, case)
    _reclaimable(section, case)
    section.show(_usage(case, top is not None), _zones(case), _blocks(case))
    return section


def _boot(section: Chapter, case: Evidence) -> None:
    """Memory that boot kept, and the part of it for the crash kernel."""
    whole, crash = case.class_bytes("boot"), case.machine.crash_kernel
    if not crash or crash > whole:
        return
    section.say(
        "boot",
        "kept since boot",
        "{size:bytes}: {crash:bytes} for the crash kernel, {rest:bytes} for everything else",
        size=whole,
        crash=crash,
        rest=whole - crash,
    )


def _reclaimable(section: Chapter, case: Evidence) -> None:
    could = case.reclaimable
    if could is None:
        section.say("reclaimable", "reclaimable", "unreadable")
        return
    pinned = min(pinned_bytes(case), could.slab)
    size = could.file + could.slab - pinned + could.other
    section.say(
        "reclaimable",
        "reclaimable",
        "{size:bytes}, {share:share} of managed memory: page cache {file:bytes},"
        " slab {slab:bytes}"
        + (" ({pinned:bytes} more in use)" if pinned else "")
        + ", other {other:bytes}",
        size=size,
        share=case.share(size),
        file=could.file,
        slab=could.slab - pinned,
        other=could.other,
        pinned=pinned,
    )
    rest = max(case.managed - case.free - size, 0)
    section.say(
        "unreclaimable",
        "not reclaimable",
        "{size:bytes}, {share:share} of managed memory",
        size=rest,
        share=case.share(rest),
    )


def _usage(case: Evidence, short: bool) -> Records:
    table = Records(
        "usage",
        "All memory, as in usage",
        [
            Field("bytes", "bytes", "size"),
            Field("share", "share"),
            Field("kernel_counter", "bytes", "kernel's counter"),
            Field("name", title="memory"),
        ],
    )
    if case.usage:
        whole = case.usage
        for node in [whole, *whole.children]:
            share = node.bytes / whole.bytes if whole.bytes else 0.0
            if short and share < _WORTH:
                table.left_out += 1
            else:
                table.rows.append([node.bytes, share, node.counter, node.name])
    return table


def _zones(case: Evidence) -> Records:
    cma = any(zone.free_cma for zone in case.zones)
    table = Records(
        "zones",
        "Zones against their watermarks",
        [
            Field("node", "number"),
            Field("zone"),
            Field("present", "bytes", detail=True),
            Field("managed", "bytes"),
            Field("free", "bytes"),
            Field("free_cma", "bytes", "of it CMA", detail=not cma),
            Field("pcp", "bytes", "CPUs' lists"),
            Field("min", "bytes"),
            Field("low", "bytes"),
            Field("high", "bytes"),
            Field("boost", "bytes", detail=True),
            Field("reserve", "bytes", detail=True),
            Field("state"),
        ],
    )
    movable = takes_cma(case.last_event)
    for z in case.zones:
        pages = [z.present, z.managed, z.free, z.free_cma, z.pcp]
        pages += [z.min, z.low, z.high, z.boost, reserve(z)]
        sizes = (None if n is None else n * case.page.bytes for n in pages)
        table.rows.append([z.node, z.name, *sizes, str(standing(z, movable))])
    return table


def _blocks(case: Evidence) -> Records:
    """Fragmentation, when more than one page was wanted."""
    orders = max((len(zone.free_blocks) for zone in case.zones), default=0)
    counts = [Field(f"order_{n}", "count", str(n)) for n in range(orders)]
    table = Records(
        "blocks", "Free blocks by order", [Field("node", "number"), Field("zone"), *counts]
    )
    event = case.fatal_event
    wanted = [failure.order for failure in case.failures] + ([event.order] if event else [])
    if any(order > 0 for order in wanted):
        table.rows = [[z.node, z.name, *z.free_blocks] for z in case.zones]
    return table
