# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines that are run on damaged dumps."""

from __future__ import annotations

import random

_ADDRESSES = ("init_task", "pfn:3000", "pfn:0x8000", "slab_caches", "jiffies", "0xffff888000100000")

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("report",),
    ("report", "--format", "json"),
    ("report", "--format", "html"),
    ("report", "--format", "allocinfo"),
    ("report", "--format", "csv"),
    ("usage",),
    ("usage", "--format", "json"),
    ("usage", "--format", "html"),
    ("usage", "--fragmentation"),
    ("usage", "--fragmentation", "--format", "json"),
    ("audit",),
    ("audit", "--all", "--format", "json"),
    ("objects",),
    ("objects", "--group-by", "vmalloc"),
    ("objects", "--group-by", "cache"),
    ("objects", "--list", "--top", "50"),
    ("objects", "--format", "json"),
    ("pages",),
    ("pages", "--list"),
    ("pages", "--format", "json"),
    ("leaks",),
    ("leaks", "--format", "json"),
    ("leaks", "--list"),
    ("retained",),
    ("retained", "--format", "json"),
    ("doctor",),
    ("doctor", "--format", "json"),
    ("triage",),
    ("triage", "--format", "json"),
    ("triage", "--format", "html"),
    ("triage", "--format", "markdown"),
    *(("whois", address) for address in _ADDRESSES),
    *(("whois", address, "--referrers") for address in _ADDRESSES[:3]),
    *(("paths", address) for address in _ADDRESSES[:3]),
)
"""Each without the core, which follows the command's name."""


def choose(chance: random.Random) -> tuple[str, ...]:
    """One of them; each command as often as any other, however many forms it has."""
    name = chance.choice(sorted({words[0] for words in COMMANDS}))
    return chance.choice([words for words in COMMANDS if words[0] == name])


def line(words: tuple[str, ...], core: str) -> list[str]:
    """Arguments of ``allocdump``."""
    return [words[0], core, *words[1:]]
