# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as one JSON document."""

from __future__ import annotations

from ...kernel.tags.sites import SiteName
from ...sentence import Sentence
from ...triage.verdict import Chapter, Field, RecordCell, Records, Suspect, Triage
from ...view.sentence import text
from .json_text import Record, document
from .site import origin_record


def as_json(result: Triage) -> str:
    """Everything; shares from 0 to 1, times in seconds since boot."""
    return document(
        "triage",
        2,
        core=result.core,
        verdict=_sentence(result.verdict),
        summary={fact.key: _sentence(fact.value) for fact in result.summary},
        **{chapter.key: _chapter(chapter) for chapter in result.sections},
        suspects=[_suspect(suspect) for suspect in result.suspects],
        commands=result.commands,
        missing=result.missing,
    )


def _sentence(sentence: Sentence) -> Record:
    return {"text": text(sentence), "values": sentence.values}


def _chapter(chapter: Chapter) -> Record:
    out: Record = {"facts": {fact.key: _sentence(fact.value) for fact in chapter.facts}}
    for table in chapter.tables:
        out[table.key] = [_row(table, row) for row in table.rows]
    return out


def _row(table: Records, row: list[RecordCell]) -> Record:
    out: Record = {}
    for field, value in zip(table.fields, row, strict=True):
        out |= _values(field, value)
    return out


def _values(field: Field, value: RecordCell) -> Record:
    if field.kind in ("site", "label"):
        return origin_record(value if isinstance(value, SiteName) else None)
    return {field.key: value}


def _suspect(suspect: Suspect) -> Record:
    return {
        "rule": suspect.rule,
        "title": _sentence(suspect.title),
        "confidence": suspect.confidence.words,
        "cause": suspect.cause,
        "bytes": suspect.bytes,
        "advice": _sentence(suspect.advice) if suspect.advice else None,
        "evidence": [_sentence(sentence) for sentence in suspect.evidence],
        "commands": suspect.commands,
    }
