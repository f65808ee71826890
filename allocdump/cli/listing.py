# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that list things: their records as JSON or CSV, or a projection of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import click

from ..analysis.groups import Groups
from ..analysis.keys import Key
from ..analysis.report import Report
from ..formats.records.groups import fields, records
from ..formats.records.json_text import Record, listed
from ..view.model import Document
from .output import show, write_all
from .profiles import PROFILES, write_groups

Order = Callable[[Record], Any]

_NAMES = ("file", "line", "function", "module", "cache", "holder", "name")


@dataclass
class Listing:
    """Records, the columns of their CSV, and their projection."""

    records: Iterable[Record]
    fields: Sequence[str]
    """Columns of CSV."""
    project: Callable[[Iterable[Record]], Document]
    size: Sequence[str] = ("bytes",)
    """Fields whose sum ``--sort size`` sorts by."""
    calls: str = ""
    """The field that ``--sort calls`` sorts by; empty if rows are single allocations."""
    profile: Callable[[str, int | None, str | None], None] | None = None
    """Writes it in one of :data:`.profiles.PROFILES`; None if it is no sums."""

    def grouped(
        self,
        read: Callable[[], Groups],
        keys: Sequence[Key],
        sums: Sequence[str],
        project: Callable[[Sequence[str], Sequence[Key], Iterable[Record]], Document],
        report: Report,
    ) -> Listing:
        """Sums by keys, in place of the records.

        :param read: adds them up, when they are asked for
        :param sums: fields that are added up
        """

        def profile(format_: str, top: int | None, output: str | None) -> None:
            groups = read()
            groups = replace(groups, groups=groups.groups[:top])
            size = self.size[0]
            write_groups(format_, report, groups, output, size=size, calls=self.calls)

        return replace(
            self,
            records=_when_asked(lambda: records(read())),
            fields=(*sums, "sites", *fields(keys)),
            project=partial(project, sums, keys),
            profile=profile,
        )

    def show(
        self,
        format_: str,
        exact: bool,
        top: int | None = None,
        output: str | None = None,
        sort: str | None = None,
    ) -> None:
        """Put the first *top* records where they were asked for; None is all."""
        if format_ in PROFILES:
            if self.profile is None or sort not in (None, "size"):
                raise click.UsageError(
                    f"{format_} is for sums by keys, largest first: not with --list, nor with"
                    " other orders or groups that are no keys."
                )
            self.profile(format_, top, output)
            return
        rows = self.first(top, sort)
        if format_ in ("json", "csv"):
            write_all(listed(rows, self.fields, format_), output)
        else:
            show(self.project(rows), format_, output, exact)

    def first(self, top: int | None, sort: str | None) -> Iterable[Record]:
        """The first *top* records in the order *sort*; None is the order that they come in.

        :raises click.UsageError: if they have no such order
        """
        if sort is None:
            return islice(self.records, top)
        key = self._key(sort)
        # Of millions, no more than asked for are kept.
        if top is not None:
            return heapq.nsmallest(top, self.records, key)
        return sorted(self.records, key=key)

    def _key(self, sort: str) -> Order:
        if sort == "size":
            return lambda record: -sum(record[field] for field in self.size)
        if sort == "name":
            return _name
        if sort == "calls" and self.calls:
            return lambda record: -int(record[self.calls])
        if sort == "address" and "address" in self.fields:
            return lambda record: int(record["address"], 16)
        raise click.UsageError(f"These rows cannot be sorted by {sort!r}.")


def _when_asked(read: Callable[[], Iterable[Record]]) -> Iterator[Record]:
    yield from read()


def _name(record: Record) -> Any:
    return [(record[name] is None, record[name]) for name in _NAMES if name in record]
