# SPDX-License-Identifier: LGPL-2.1-or-later
"""Triage as one JSON document: docs/triage-json.md has every field."""

from __future__ import annotations

import json
from typing import Any

from ..triage.sentence import Sentence
from ..triage.verdict import Section, Suspect, Triage
from ..view.sentence import text


def as_json(page: Triage) -> str:
    """Sizes in bytes, shares from 0 to 1, times in seconds since boot."""
    document = {
        "schema": "allocdump.triage",
        "version": 1,
        "core": page.core,
        "verdict": _sentence(page.verdict),
        **{section.key: _section(section) for section in page.sections},
        "suspects": [_suspect(suspect) for suspect in page.suspects],
        "commands": page.commands,
        "missing": page.missing,
    }
    return json.dumps(document, indent=1) + "\n"


def _sentence(sentence: Sentence) -> dict[str, Any]:
    return {"text": text(sentence), "values": sentence.values}


def _section(section: Section) -> dict[str, Any]:
    out: dict[str, Any] = {"facts": {fact.key: _sentence(fact.value) for fact in section.facts}}
    for table in section.tables:
        keys = [column.key for column in table.columns]
        out[table.key] = [dict(zip(keys, row, strict=True)) for row in table.rows]
    return out


def _suspect(suspect: Suspect) -> dict[str, Any]:
    return {
        "rule": suspect.rule,
        "title": _sentence(suspect.title),
        "confidence": suspect.confidence.words,
        "cause": suspect.cause,
        "bytes": suspect.bytes,
        "evidence": [_sentence(sentence) for sentence in suspect.evidence],
        "commands": suspect.commands,
    }
