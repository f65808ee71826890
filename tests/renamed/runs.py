# SPDX-License-Identifier: LGPL-2.1-or-later
"""All commands on a dump in which one name is another, in a process of their own."""

from __future__ import annotations

import difflib
import json
import math
import os
import pickle
import re
import resource
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest

from allocdump.analysis.reach import Reach
from allocdump.errors import DamagedError
from allocdump.session import Session

from .. import dumpdata
from ..hostile.judge import RIGHT_CODES
from .names import Name, Watch, renamed

Words = tuple[str, ...]
LEAKS: Words = ("leaks", "--format", "json")
TRIAGE: Words = ("triage", "--format", "json")
COMMANDS: tuple[Words, ...] = (
    ("report", "--format", "json"),
    ("pages", "--format", "json"),
    ("objects", "--format", "json"),
    ("usage", "--format", "json"),
    ("whois", "init_task"),
    ("whois", "slab_caches"),
    ("audit", "--format", "json"),
    LEAKS,
    TRIAGE,
    ("triage",),
)
CHEAP: tuple[Words, ...] = (
    ("report", "--format", "json"),
    ("objects", "--format", "json"),
    ("usage", "--format", "json"),
)
"""Those that take least of a processor."""
WHOIS = tuple(words for words in COMMANDS if words[0] == "whois")
_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Answers = dict[Words, Answer]


@cache
def readers(folder: str, commands: tuple[Words, ...] = COMMANDS) -> dict[Name, tuple[Words, ...]]:
    """Names that are read of a dump, in order, and those of some commands that read each."""
    found: dict[Name, list[Words]] = {}
    for words in commands:
        for name in names_read(folder, (words,)):
            found.setdefault(name, []).append(words)
    return {name: tuple(found[name]) for name in sorted(found)}


def names_read(folder: str, commands: tuple[Words, ...] = COMMANDS) -> set[Name]:
    """Names that any of some commands reads."""
    watch = Watch()
    with watch.watching():
        _run(folder, commands)
    return watch.names


def with_another(folder: str, name: Name, commands: tuple[Words, ...]) -> dict[str, str]:
    """A sentence on each of some commands that minds that a name is another."""
    # Most names are for triage alone: searching for leaks would take most of the time.
    reach = LEAKS in commands
    some = next(some for some in (CHEAP, WHOIS, COMMANDS) if set(commands) <= set(some))
    before = whole(folder, some, reach)
    after = _forked(lambda: _renamed(folder, commands, name, reach))
    return failures({words: before[words] for words in commands}, after)


@cache
def whole(folder: str, commands: tuple[Words, ...], reach: bool) -> Answers:
    """Answers without any change."""
    if not reach:
        commands = tuple(words for words in commands if words != LEAKS)
    return _forked(lambda: _run(folder, commands, reach))


def _renamed(folder: str, commands: tuple[Words, ...], name: Name, reach: bool) -> Answers:
    with renamed(name):
        return _run(folder, commands, reach)


def _run(folder: str, commands: tuple[Words, ...], reach: bool = True) -> Answers:
    """Some commands, on one session.

    :param reach: search for leaks in triage, too
    """
    dumpdata._opened.cache_clear()
    core = dumpdata.core(folder)
    out = {}
    with pytest.MonkeyPatch.context() as patch:
        if not reach:
            patch.setattr(Session, "reach", _no_reach)
        for words in commands:
            done = dumpdata.run(words[0], core, *words[1:])
            out[words] = Answer(done.returncode, done.stdout, done.stderr)
    dumpdata._opened.cache_clear()
    return out


def _no_reach(session: Session, progress: object = None) -> Reach:
    raise DamagedError("not searched for leaks here")


def _forked(answer: Callable[[], Answers]) -> Answers:
    """Answers of a process of its own; none if it ends otherwise."""
    get, put = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.close(get)
        _child(answer, put)
    os.close(put)
    with os.fdopen(get, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    answers: Answers = pickle.loads(data) if data else {}
    return answers


def _child(answer: Callable[[], Answers], put: int) -> None:
    """Never returns."""
    try:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime) + _SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        answers = answer()
        with os.fdopen(put, "wb") as pipe:
            pickle.dump(answers, pipe)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


_SAYS = re.compile(
    "not in the dump|missing|unreadable|not readable|damaged|incomplete|cannot|unknown"
    "|does not know|no (member|type|enumerator|symbol) |could not find",
    re.IGNORECASE,
)


def failures(before: Answers, after: Answers) -> dict[str, str]:
    """A sentence on each command that answers otherwise without a word, or does not end well."""
    if not after:
        return {"all": "no answer: it took too long, or its process ended"}
    found = {}
    for words, whole in before.items():
        if sentence := _failure(words, whole, after[words]):
            found[" ".join(words)] = sentence
    return found


def _failure(words: Words, whole: Answer, got: Answer) -> str:
    if got.code not in RIGHT_CODES:
        return f"exit code {got.code}: {got.err.strip()[-300:]}"
    if "Traceback (most recent call last)" in got.out + got.err:
        return "a traceback"
    if got.code == 5 != whole.code:
        return f"takes it for a kernel without a profile: {got.err.strip()[-200:]}"
    if got.code:
        return "" if got.err.strip() else f"exit code {got.code} without a word"
    if words == ("triage",):  # its numbers are those of the same in JSON
        return ""
    if got.out == whole.out or _only_absent(whole.out, got.out):
        return ""
    news = set((got.out + got.err).splitlines()) - set((whole.out + whole.err).splitlines())
    if any(_SAYS.search(line) for line in news):
        return ""
    return f"another answer without a word: {_difference(whole.out, got.out)}"


def _only_absent(before: str, after: str) -> bool:
    """Tell if two answers in JSON differ only where the second has null: that is a word."""
    try:
        documents = [[json.loads(part) for part in _documents(text)] for text in (before, after)]
    except ValueError:
        return False
    return _is_within(*documents)


def _documents(text: str) -> list[str]:
    """A JSON document, or one a line."""
    return [text] if text.startswith(("{\n", "[\n")) else text.splitlines()


def _is_within(before: object, after: object) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(
            _is_within(value, after[key]) for key, value in before.items()
        )
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_is_within, before, after))
    return after is None or before == after


def _difference(before: str, after: str) -> str:
    """Some of the lines that differ."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "", "", n=0, lineterm="")
    changed = [line.strip() for line in lines if line[:1] in "+-" and line.strip("+- ")]
    return " / ".join(changed[:4])[:400]
