# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verdict, and the few lines below it that a reader in a hurry needs."""

from __future__ import annotations

from ..confidence import Confidence
from ..sentence import Sentence, say
from .commands import command, more
from .evidence import Evidence
from .shortage import shortage
from .verdict import Chapter, ChapterFact, Suspect


def judge(case: Evidence, found: list[Suspect]) -> Sentence:
    """The cause with the confidence in it; else whether memory was short, and what was found."""
    short = shortage(case)
    if found and found[0].cause:
        return _sure(found[0].title, found[0].confidence)
    be = "is" if case.machine.alive else "was"
    if short:
        return say(
            "{shortage}, but nothing stands out as the cause",
            shortage=str(short) if be == "was" else short.now,
        )
    if not case.zones:
        return say("nothing tells whether memory was short")
    free = {"free": case.free, "share": case.share(case.free)}
    # A shortage that the log alone tells of: a cgroup's limit, or one that has passed meanwhile.
    sure = case.log_is_whole or case.machine.alive
    not_short = f"memory {be} not short" if sure else "memory does not look short"
    template = f"{not_short}: {{free:bytes}} free, {{share:share}} of memory; "
    if not found:
        return say(template + "nothing stands out", **free)
    first = found[0]
    # Values of the title have names of their own.
    title = first.title.template
    for name in first.title.values:
        title = title.replace(f"{{{name}", f"{{first_{name}")
    values = {f"first_{name}": value for name, value in first.title.values.items()}
    found_ = Sentence(template + title, {**free, **values})
    return _sure(found_, first.confidence)


def _sure(title: Sentence, confidence: Confidence) -> Sentence:
    return Sentence(
        title.template + ". {confidence}.",
        title.values | {"confidence": confidence.words.capitalize()},
    )


def summary(case: Evidence, found: list[Suspect]) -> list[ChapterFact]:
    """The death, the next step, and gaps that weaken the verdict."""
    below = Chapter("summary", "")
    if not case.machine.alive:
        below.facts.append(ChapterFact("died", "died", _death(case)))
    first = found[0] if found else None
    below.facts += first.below if first else []
    if first and first.advice:
        below.facts.append(ChapterFact("advice", "to do", first.advice))
    commands = (first.commands if first else []) or where_to_look(case, found) or more(case)
    below.say("next", "next", "{command}", command=commands[0])
    certain = first is not None and first.cause and first.confidence == Confidence.CERTAIN
    if case.gaps and not certain:
        below.say("gaps", "missing", "{gaps}", gaps="; ".join(case.gaps))
    return below.facts


def _death(case: Evidence) -> Sentence:
    event = case.fatal_event
    if event is None:
        return say("{reason}", reason=case.machine.reason or _unsaid(case))
    return say(
        "{where}: {task} asked for {size:bytes}, and the kernel panicked",
        where=f"at the limit of memory cgroup {event.cgroup}" if event.cgroup else "out of memory",
        task=event.task,
        size=case.page.bytes << max(event.order, 0),
    )


def _unsaid(case: Evidence) -> str:
    """The reason why no reason is known."""
    if case.log_is_whole:
        return "the kernel log does not say why"
    return "the reason is not known: the kernel log is not readable in full"


def where_to_look(case: Evidence, found: list[Suspect]) -> list[str]:
    """Commands to go on with when no cause was found."""
    if any(suspect.cause for suspect in found):
        return []
    usage = command(case, "usage")
    if len(case.sites):
        return [command(case, "report", "--top", "20"), usage]
    return [usage, command(case, "objects", "--group-by", "cache", "--top", "20")]
