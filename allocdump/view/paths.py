# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways to an allocation as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..analysis.report import Report
from ..graph.pointer_search import Place
from ..graph.roots import Tier
from ..kernel.tags.sites import Sites
from ..sentence import say
from . import units
from .model import CodeBlock, Document, Line, Section

if TYPE_CHECKING:
    from ..analysis.paths import Paths, Step
    from ..analysis.reach import Reach


def document(report: Report, reach: Reach, answer: Paths) -> Document:
    """One section for each way."""
    out = Document("Paths", answer.query, head=[f"{answer.query} = {answer.address:#x}"])
    if answer.node is None:
        nowhere = "is not in an allocation that leaks judges; allocdump whois tells where it is"
        out.head = [*out.head, f"  {nowhere}"]
        return out
    out.head = [*out.head, f"  {_state(reach, answer)}"]
    sections = []
    for number, path in enumerate(answer.found, 1):
        title = f"way {number}, {units.plural(path.length, 'pointer')}"
        steps = [line for step in path.steps for line in _step(report.sites, step)]
        sections.append(Section(title, [CodeBlock([f"{title}:", *steps], shell=False)]))
    out.sections = sections
    return out


def _state(reach: Reach, answer: Paths) -> str:
    assert answer.node is not None
    if reach.tier[answer.node] < Tier.UNPROVEN:
        return "held" if answer.found else "held by itself alone"
    doubt = reach.doubt(answer.node)
    state = f"undecided: {doubt}" if doubt else "lost"
    if not answer.found:
        return f"{state}; nothing points at it"
    return f"{state}; only other such memory points at it"


def _step(sites: Sites, step: Step) -> Iterator[Line]:
    if step.site is None:
        place = f" {step.address:#x}" if step.address else ""
        yield f"  {step.what}{place}"
    else:
        yield say(
            "  {what} {address}, {size:bytes}{cache}",
            what=step.what,
            address=f"{step.address:#x}",
            size=step.size,
            cache=f" ({step.cache})" if step.cache else "",
        )
        name = sites.name(step.site)
        yield f"      {'site' if name.is_site else 'origin'}: {name.label}"
    if step.pointer:
        yield f"    {_pointer(step.pointer, step.member)} ->"
    if step.left_out:
        yield f"  ... {step.left_out:,} more ..."


def _pointer(pointer: Place, member: str) -> str:
    where = f"at {pointer.address:#x}" if pointer.offset is None else f"+{pointer.offset:#x}"
    cpu = f" on CPU {pointer.cpu}" if pointer.cpu is not None else ""
    return f"{where}{f' {member}' if member else ''}{cpu}"
