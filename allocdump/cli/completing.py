# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers to a shell that asks how a command line may go on.

The scripts in ``completions`` ask by environment variables, and get lines of a kind, a value and
an explanation with tabs between them: a ``plain`` value, or ``file``, that files may stand there.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete

from ..analysis.filters import KEYS, site_names
from ..kernel.tags.sites import Sites
from ..session import Session
from ..session.snapshot import STANDARD_INPUT, open_snapshot
from .options import OPENING
from .source import choose_source

ASKED = "_ALLOCDUMP_COMPLETE"
"""``words``: the variable below has them, between them the character 0x1f. ``line``: it has a line
as it was typed."""
_WORDS = "_ALLOCDUMP_WORDS"
_LAST = "_ALLOCDUMP_LAST"
"""The end of the last word, if the shell takes that for a word: bash breaks at ``:`` and ``=``."""

_SECONDS = 5
_FEW, _MOST = 200, 2000
_SAFE = re.compile(r"[\w./:=+,@-]+")
"""Names that no shell reads as anything else; a dump is untrusted."""


def answer(cli: click.Command) -> int:
    """Print how the command line in the environment may go on; nothing if that takes long.

    :return: the exit code
    """
    signal.alarm(_SECONDS)
    words = _split(os.environ.get(_WORDS, ""), os.environ[ASKED])
    last, shells = words[-1], os.environ.get(_LAST)
    # The shell has the start of the word already.
    typed = len(last) - len(shells) if shells is not None and last.endswith(shells) else 0
    try:
        asked = ShellComplete(cli, {"obj": words[2:-1]}, "allocdump", ASKED)
        found = asked.get_completions(words[1:-1], last)
    except click.ClickException:
        return 0
    for item in found:
        if item.type == "plain":
            about = (item.help or "").replace("\t", " ").replace("\n", " ")
            click.echo(f"plain\t{item.value[typed:]}\t{about}")
        else:
            click.echo("file\t\t")
    return 0


def _split(text: str, how: str) -> list[str]:
    """The words of a command line: the command, and more; the last is being typed."""
    if how == "words":
        words = text.split("\x1f")
        return words if len(words) > 1 else [*words, ""]
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    words = []
    try:
        words += lexer
    except ValueError:  # an open quote: what is in it
        return [*words, lexer.token.lstrip("'\"")]
    return [*words, ""] if text[-1:].isspace() or len(words) < 2 else words


def sites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Filters that begin so, of the sites that the files on the command line have."""
    key, equals, glob = incomplete.partition("=")
    if not equals:
        keys = [f"{name}=" for name in ("file", "function", "module")]
        found = [CompletionItem(name) for name in keys if name.startswith(incomplete)]
        fields = KEYS.values() if incomplete else [KEYS["file"]]
        return found + _items("", incomplete, _names(ctx, fields, incomplete))
    if key not in KEYS:
        return []
    return _items(f"{key}=", glob, _names(ctx, [KEYS[key]], glob))


def caches(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Slab caches whose names begin so."""
    with suppress(Exception):
        return _items("", incomplete, [cache.name for cache in _dump(ctx).objects().caches])
    return []


def _names(ctx: click.Context, fields: Iterable[int], start: str) -> set[str]:
    """Names of sites; with lines once their file is there.

    :param fields: of :data:`allocdump.analysis.filters.KEYS`
    """
    out: set[str] = set()
    with suppress(Exception):
        for found in _all_sites(ctx):
            files = site_names(found) if ":" in start else found.file
            columns = (files, found.function, found.module)
            out.update(*(columns[field] for field in fields))
    return out


def _all_sites(ctx: click.Context) -> Iterator[Sites]:
    params = _params(ctx)
    if "before" in params:
        for path in (params["before"], params["after"]):
            if path and path != STANDARD_INPUT:
                yield open_snapshot(path).sites
    else:
        yield _dump(ctx).sites


def _params(ctx: click.Context) -> dict[str, Any]:
    """Parameters of the command, without the option whose value is asked for.

    Click gives up at an option that has no value yet, and knows none.
    """
    words = list(ctx.obj)
    if words and words[-1].startswith("-"):
        words.pop()
    return ctx.command.make_context(ctx.info_name, words, resilient_parsing=True).params


def _dump(ctx: click.Context) -> Session:
    """The dump that is named on the command line.

    :raises Exception: if there is none
    """
    from .. import open as open_dump

    params = _params(ctx)
    how = {name: params.get(name) for name in OPENING}
    if how["qemu"] is not None:
        raise LookupError  # a guest would notice
    how |= {"pause": False, "vmlinux": how["vmlinux"] or (), "live": bool(how["live"])}
    return open_dump(**choose_source(how, {"addresses": ()}))


def _items(before: str, start: str, names: Iterable[str]) -> list[CompletionItem]:
    """Names that begin so, or if they are many, folders of them."""
    found = sorted({name for name in names if name.startswith(start) and _SAFE.fullmatch(name)})
    if len(found) > _FEW:
        found = sorted({_up_to_slash(name, len(start)) for name in found})
    return [CompletionItem(before + name) for name in found] if len(found) <= _MOST else []


def _up_to_slash(name: str, start: int) -> str:
    slash = name.find("/", start)
    return name if slash < 0 else name[: slash + 1]
