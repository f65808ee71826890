# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules about sites that hold much."""

from __future__ import annotations

import numpy as np

from ...sentence import Sentence, say
from ..commands import of_module, of_site
from ..evidence import Evidence
from ..shortage import machine_short
from ..thresholds import FAR_ABOVE, LARGE, MOST, WHOLE
from ..verdict import Confidence, Suspect


def large_sites(case: Evidence) -> list[Suspect]:
    """One site's share is far above the rest."""
    size = case.suspicious
    return [
        _large_site(case, row)
        for row in np.argsort(-size, kind="stable").tolist()
        if size[row] and case.share(int(size[row])) >= LARGE
    ]


def _large_site(case: Evidence, row: int) -> Suspect:
    found, size = case.footprint, int(case.suspicious[row])
    assert found is not None
    others = case.suspicious.copy()
    others[row] = 0
    module = case.sites.module[row]
    if module:
        # Sites of one module do not clear one another.
        others[case.sites.module == module] = 0
    following = int(np.argmax(others))
    far_above = size >= FAR_ABOVE * int(others[following])
    reclaimable = int(found.reclaimable[row])
    confidence = Confidence.POSSIBLE
    if far_above and reclaimable < size // 2:
        confidence = Confidence.VERY_LIKELY if case.share(size) >= MOST else Confidence.LIKELY
    short = machine_short(case)
    evidence = [
        say(
            "{calls:count allocation} not freed: {counter:bytes} by its counter",
            calls=int(case.sites.calls[row]),
            counter=int(case.sites.bytes[row]),
        )
    ]
    if int(others[following]):
        evidence.append(
            say(
                "the next largest of the kernel's, {next}, keeps {size:bytes}",
                next=case.site_name(following),
                size=int(others[following]),
            )
        )
    evidence += _together(case, row)
    if reclaimable >= size // 2:
        evidence.append(
            say("{size:bytes} of it can be reclaimed when memory is short", size=reclaimable)
        )
    evidence += _in_the_log(case, row)
    return Suspect(
        rule="large_sites",
        subject=f"site:{row}",
        title=say(
            "{site} keeps {size:bytes}, {share:share} of managed memory",
            site=case.site_name(row),
            size=size,
            share=case.share(size),
        ),
        confidence=confidence if short else Confidence.POSSIBLE,
        bytes=size,
        cause=short,
        evidence=evidence,
        commands=of_site(case, row),
    )


def _together(case: Evidence, row: int) -> list[Sentence]:
    module = case.sites.module[row]
    if not module:
        return []
    of_module_ = case.sites.module == module
    return [
        say(
            "all of module {module}: {size:bytes} at {sites:count site}",
            module=module,
            size=int(case.suspicious[of_module_].sum()),
            sites=int(np.count_nonzero(case.suspicious[of_module_])),
        )
    ]


def _in_the_log(case: Evidence, row: int) -> list[Sentence]:
    """Find it in the kernel's own top ten at the machine's death."""
    event = case.fatal_event
    if event is None:
        return []
    for rank, logged in enumerate(event.top_sites, 1):
        if case.find(logged) == row:
            return [
                say(
                    "number {rank:number} of the kernel's own top ten in its log, with about"
                    " {size:bytes}",
                    rank=rank,
                    size=logged.bytes,
                )
            ]
    return []


def modules_together(case: Evidence) -> list[Suspect]:
    """No single site of a module stands out, but all of them together do."""
    out = []
    for module in sorted({m for m in case.sites.module if m}):
        sizes = case.suspicious[case.sites.module == module]
        size = int(sizes.sum())
        if case.share(size) < LARGE or int(sizes.max()) >= WHOLE * size:
            continue
        short = machine_short(case)
        likely = Confidence.VERY_LIKELY if case.share(size) >= MOST else Confidence.LIKELY
        largest = int(np.flatnonzero(case.sites.module == module)[int(np.argmax(sizes))])
        out.append(
            Suspect(
                rule="modules_together",
                subject=f"module:{module}",
                title=say(
                    "module {module} keeps {size:bytes} at {sites:count site},"
                    " {share:share} of managed memory",
                    module=module,
                    size=size,
                    sites=int(np.count_nonzero(sizes)),
                    share=case.share(size),
                ),
                confidence=likely if short else Confidence.POSSIBLE,
                bytes=size,
                cause=short,
                evidence=[
                    say(
                        "its largest, {site}, keeps {size:bytes}",
                        site=case.site_name(largest),
                        size=int(sizes.max()),
                    )
                ],
                commands=of_module(case, module),
            )
        )
    return out
