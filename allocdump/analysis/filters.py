# SPDX-License-Identifier: LGPL-2.1-or-later
"""Filters: the choice of call sites by name."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import FilterError, did_you_mean
from ..kernel.tags.sites import UNKNOWN, Sites

KEYS = {"file": 0, "function": 1, "func": 1, "module": 2}
"""Names in front of ``=``, and the group of columns that each means."""

_KEY = re.compile(r"\w+")
_WILDCARDS = re.compile(r"[][*?]")


def site_names(sites: Sites) -> npt.NDArray[np.object_]:
    """``file:line`` of each site."""
    pairs = zip(sites.file, sites.line.tolist(), strict=True)
    return np.array([f"{file}:{line}" for file, line in pairs], np.object_)


class Pattern:
    """A glob over call sites: ``file=GLOB``, ``function=GLOB``, ``module=GLOB``, or ``GLOB``.

    A bare glob matches a file, ``file:line``, function or module. ``module=`` with
    nothing behind it matches the kernel itself.

    :raises FilterError: if there is another word in front of ``=``
    """

    def __init__(self, text: str) -> None:
        key, equals, glob = text.partition("=")
        if equals and key not in KEYS and _KEY.fullmatch(key):
            raise FilterError(
                f"Filters have the keys file, function and module, but not {key!r}"
                f"{did_you_mean(key, KEYS, after='=' + glob) or '.'}"
            )
        self.text = text
        self._field = KEYS.get(key) if equals else None
        self._prefix = text[: len(key) + 1] if self._field is not None else ""
        self._glob = glob if self._field is not None else text
        self._match = re.compile(fnmatch.translate(self._glob)).match

    def matches(self, sites: Sites) -> npt.NDArray[np.bool_]:
        """Mark the sites that match: shape (number of sites,)."""
        found = np.zeros(len(sites), np.bool_)
        for column in self._columns(sites):
            hits = {text for text in set(column) if self._match(text)}
            found |= np.fromiter((text in hits for text in column), np.bool_, len(sites))
        return found

    def _columns(self, sites: Sites) -> Iterator[npt.NDArray[np.object_]]:
        groups = ([sites.file, site_names(sites)], [sites.function], [sites.module])
        for group in groups if self._field is None else [groups[self._field]]:
            yield from group

    def guess(self, sites: Sites) -> str:
        """A question that names what is like the pattern; empty if nothing is."""
        names = sorted({text for column in self._columns(sites) for text in column if text})
        word = _WILDCARDS.sub("", self._glob)
        if len(word) > 1 and any(word in name for name in names):
            return f"; did you mean {f'{self._prefix}*{word}*'!r}?"
        return did_you_mean(word, names, before=self._prefix)


def matching(sites: Sites, filters: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Mark the sites that match all *filters*: shape (number of sites,).

    :raises FilterError: if no site does, since a mistyped name would look like good news; or
        if a filter is none
    """
    chosen = np.ones(len(sites), np.bool_)
    for pattern in map(Pattern, filters):
        found = pattern.matches(sites)
        if not found.any():
            raise FilterError(_no_match(sites, pattern))
        chosen &= found
    if filters and not chosen.any():
        words = " and ".join(map(repr, filters))
        raise FilterError(f"No site matches {words} at once, though each of them matches some.")
    return chosen


def _no_match(sites: Sites, pattern: Pattern) -> str:
    said = f"No site matches {pattern.text!r}"
    if not len(sites):
        return f"{said}: there are no sites."
    nameless = int(np.count_nonzero((sites.file == UNKNOWN) | (sites.function == UNKNOWN)))
    if nameless:
        noun = "site" if nameless == 1 else "sites"
        said += f"; the names of {nameless:,} {noun} are unreadable"
    return f"{said}{pattern.guess(sites) or '.'}"
