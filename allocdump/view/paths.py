# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways to an allocation, as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..analysis.report import Report
from ..graph.pointer_search import Place
from . import units
from .retained import site_name

if TYPE_CHECKING:
    from ..analysis.paths import Path, Paths, Step
    from ..analysis.reach import Reach


def as_text(report: Report, reach: Reach, answer: Paths) -> str:
    """One paragraph per way."""
    lines = [f"{answer.query} = {answer.address:#x}"]
    if answer.node is None:
        lines.append("  is in no allocation that is judged; allocdump whois tells what is there")
        return "\n".join(lines) + "\n"
    lines.append(f"  {_state(reach, answer)}")
    for number, path in enumerate(answer.found, 1):
        lines += ["", f"way {number}, {units.plural(path.length, 'pointer')}:"]
        for step in path.steps:
            lines += _step(report, step)
    return "\n".join(lines) + "\n"


def _state(reach: Reach, answer: Paths) -> str:
    assert answer.node is not None
    if reach.way(answer.node):
        return "held" if answer.found else "held by itself alone"
    state = "undecided: memory that is not in the dump may point at it" if reach.reasons else "lost"
    if not answer.found:
        return f"{state}; nothing points at it"
    return f"{state}; only other such memory points at it"


def _step(report: Report, step: Step) -> list[str]:
    if step.site is None:
        place = f" {step.address:#x}" if step.address else ""
        lines = [f"  {step.what}{place}"]
    else:
        cache = f" ({step.cache})" if step.cache else ""
        lines = [
            f"  {step.what} {step.address:#x}, {units.size(step.size)}{cache}",
            f"      site: {site_name(report, step.site)}",
        ]
    if step.pointer:
        lines.append(f"    {_place(step.pointer, step.member)} ->")
    if step.left_out:
        lines.append(f"  ... {step.left_out:,} more ...")
    return lines


def _place(pointer: Place, member: str) -> str:
    where = f"at {pointer.address:#x}" if pointer.offset is None else f"+{pointer.offset:#x}"
    cpu = f" on CPU {pointer.cpu}" if pointer.cpu is not None else ""
    return f"{where}{f' {member}' if member else ''}{cpu}"


def as_json(report: Report, reach: Reach, answer: Paths) -> str:
    """One document."""
    held = answer.node is not None and bool(reach.way(answer.node))
    state = "held" if held else "undecided" if reach.reasons else "lost"
    document = {
        "schema": "allocdump.paths",
        "version": 1,
        "query": answer.query,
        "address": f"{answer.address:#x}",
        "state": None if answer.node is None else state,
        "paths": [_path(report, path) for path in answer.found],
    }
    return json.dumps(document, indent=1) + "\n"


def _path(report: Report, path: Path) -> dict[str, Any]:
    steps = []
    for step in path.steps:
        site = None
        if step.site is not None:
            sites, row = report.sites, step.site
            site = {
                "file": sites.file[row],
                "line": int(sites.line[row]),
                "function": sites.function[row],
                "module": sites.module[row],
            }
        steps.append(
            {
                "what": step.what,
                "address": f"{step.address:#x}" if step.address else None,
                "bytes": step.size or None,
                "site": site,
                "cache": step.cache or None,
                "pointer": f"{step.pointer.address:#x}" if step.pointer else None,
                "offset": step.pointer.offset if step.pointer else None,
                "cpu": step.pointer.cpu if step.pointer else None,
                "member": step.member or None,
                "left_out": step.left_out,
            }
        )
    return {"steps": steps, "pointers": path.length, "from_lost": path.lost}
