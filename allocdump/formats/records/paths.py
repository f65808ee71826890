# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways to an allocation as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...kernel.tags.sites import Sites
from .json_text import Record, document
from .site import origin_record

if TYPE_CHECKING:
    from ...analysis.paths import Path, Paths, Step
    from ...analysis.reach import Reach


def as_json(sites: Sites, reach: Reach, answer: Paths) -> str:
    """The answer; steps in the order from the root on."""
    from ...analysis.reach import Verdict

    node = answer.node
    return document(
        "paths",
        2,
        query=answer.query,
        address=f"{answer.address:#x}",
        state=None if node is None else Verdict(reach.verdict[node]).name.lower(),
        paths=[_path(sites, path) for path in answer.found],
    )


def _path(sites: Sites, path: Path) -> Record:
    steps = [_step(sites, step) for step in path.steps]
    return {"steps": steps, "pointers": path.length, "from_lost": path.lost}


def _step(sites: Sites, step: Step) -> Record:
    pointer = step.pointer
    return {
        "what": step.what,
        "address": f"{step.address:#x}" if step.address else None,
        "bytes": step.size or None,
        "site": None if step.site is None else origin_record(sites.name(step.site)),
        "cache": step.cache or None,
        "pointer": f"{pointer.address:#x}" if pointer else None,
        "offset": pointer.offset if pointer else None,
        "cpu": pointer.cpu if pointer else None,
        "member": step.member or None,
        "left_out": step.left_out,
    }
