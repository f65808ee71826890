# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failures: what no damage may do to a command."""

from __future__ import annotations

import json
import re
from functools import cache

from jsonschema import Draft202012Validator

from allocdump.formats.schemas import schema

from .child import Outcome

RIGHT_CODES = (0, 3, 4, 5, 6)
"""Of a command line that is right."""

SECONDS = 60.0
_LEAST = 15.0
"""Seconds that any run may take, however quick it is undamaged."""
_TIMES = 4
_MORE = 1 << 30
"""Bytes of memory more than undamaged."""

# Line feeds alone structure text; everything else that steers a terminal or turns text is escaped.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe]")
_WORDS = re.compile(
    r"not in the dump|missing|unreadable|not readable|damaged|incomplete|cannot|unknown"
    r'|"\?"| \? |\?:\d',
    re.IGNORECASE,
)
"""Of an answer that says that it is not whole."""
_MARKUP = ("<script>zq", "</script>zq", "zq</script>")


def allowed(whole: Outcome) -> float:
    """Seconds that a command may take on a damaged dump."""
    return min(SECONDS, max(_LEAST, _TIMES * whole.seconds))


def failure(words: tuple[str, ...], kind: str, whole: Outcome, got: Outcome) -> str:
    """Say in a sentence what is wrong with a run; empty if nothing is.

    :param kind: of the damage
    :param whole: the same command on the undamaged dump
    """
    text, complaints = got.out.decode("utf-8", "replace"), got.err.decode("utf-8", "replace")
    if got.late:
        return f"took more than {allowed(whole):.0f} s; undamaged {whole.seconds:.1f} s"
    if got.code < 0:
        return f"ended by signal {-got.code}"
    if got.code not in RIGHT_CODES:
        return f"exit code {got.code}: {_last_line(complaints)}"
    if "Traceback (most recent call last)" in complaints + text:
        return f"a traceback: {_last_line(complaints)}"
    if got.code and not complaints.strip():
        return f"exit code {got.code} without a word"
    if got.memory > whole.memory + _MORE:
        return f"took {got.memory >> 20} MiB; undamaged {whole.memory >> 20} MiB"
    return _bad_text(words, text, complaints) or _bad_answer(
        words, kind, whole, got, text, complaints
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = max((i for i, line in enumerate(lines) if line.startswith("allocdump: ")), default=-1)
    return " ".join(lines[start:])[:300] if lines else "no word"


def _bad_text(words: tuple[str, ...], text: str, complaints: str) -> str:
    for name, one in (("output", text), ("complaints", complaints)):
        found = _STEERING.search(one)
        if found:
            return f"a control character {found[0]!r} in the {name}"
    if "html" in words and any(mark in text for mark in _MARKUP):
        return "markup of the dump in a page"
    return ""


def _bad_answer(
    words: tuple[str, ...], kind: str, whole: Outcome, got: Outcome, text: str, complaints: str
) -> str:
    if got.code == 0 and "json" in words:
        try:
            documents = [json.loads(line) for line in _documents(text)]
        except ValueError as e:
            return f"JSON that does not parse: {e}"
        if wrong := _not_as_schema(words[0], documents):
            return wrong
        if words[0] == "usage" and (remainder := _remainder(documents)):
            return f"usage with a remainder of {remainder} bytes"
    differs = kind in ("missing", "cut") and got.code == 0 and got.out != whole.out
    if differs and not _WORDS.search(complaints + text):
        return "another answer without a word about what is missing"
    return ""


@cache
def _validator(command: str) -> Draft202012Validator:
    return Draft202012Validator(schema(command))


def _not_as_schema(command: str, documents: list[object]) -> str:
    for document in documents:
        for error in _validator(command).iter_errors(document):
            deepest = max([error, *(error.context or [])], key=lambda e: len(e.absolute_path))
            return f"JSON not as its schema: {deepest.json_path}: {deepest.message[:200]}"
    return ""


def _documents(text: str) -> list[str]:
    """A JSON document, or one a line."""
    if text.lstrip().startswith(("{\n", "[\n")):
        return [text]
    return [line for line in text.splitlines() if line]


def _remainder(documents: list[object]) -> int:
    """Bytes of a tree that its parts do not add up to, at any level."""

    def of(node: object) -> int:
        if not isinstance(node, dict) or not node.get("children"):
            return 0
        parts = sum(child["bytes"] for child in node["children"])
        return abs(node["bytes"] - parts) or max(map(of, node["children"]))

    return max(
        (of(document.get("memory")) for document in documents if isinstance(document, dict)),
        default=0,
    )
