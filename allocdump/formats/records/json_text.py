# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records as text: a JSON document, or one line for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..spreadsheet import csv_lines

Record = dict[str, Any]


def document(schema: str, version: int, **fields: Any) -> str:
    """One JSON document of a schema of allocdump."""
    return (
        json.dumps({"schema": f"allocdump.{schema}", "version": version, **fields}, indent=1) + "\n"
    )


def line(record: Record) -> str:
    """One line of JSON."""
    return json.dumps(record) + "\n"


def listed(records: Iterable[Record], fields: Sequence[str], format_: str) -> Iterator[str]:
    """Text of records, a record at a time.

    :param fields: columns of CSV
    :param format_: ``csv``, or ``json``: one object per line
    """
    return csv_lines(records, fields) if format_ == "csv" else map(line, records)
