# SPDX-License-Identifier: LGPL-2.1-or-later
"""Answers in Python: one line in a console, a table in a notebook, a data frame on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import extra

if TYPE_CHECKING:
    import pandas

Values = npt.NDArray[Any]

_SHOWN = 20
"""Rows of a table in a notebook."""


class Result:
    """Base of answers, which differ in their columns only.

    Dataclasses that inherit from it keep its repr instead of one that prints all arrays.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def to_dict(self) -> dict[str, Values]:
        """The columns by name, each of the same length."""
        raise NotImplementedError

    def to_pandas(self) -> pandas.DataFrame:
        """The columns as a data frame.

        :raises ExtraError: if pandas is not installed, which nothing else needs
        """
        return data_frame(self.to_dict())

    def in_short(self) -> str:
        """The answer in a few words."""
        columns = self.to_dict()
        return f"{_of(_rows(columns), 'row')} of {', '.join(columns)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.in_short()}>"

    def _repr_html_(self) -> str:
        """Called by notebooks: the first rows as a table; all text is escaped."""
        columns = self._head()
        rows = _rows(columns)
        more = f"<p>{_of(rows - _SHOWN, 'more row')}</p>" if rows > _SHOWN else ""
        return f"<p>{escape(self.in_short())}</p>{_table(columns)}{more}"

    def _head(self) -> Mapping[str, Values]:
        """Columns with the first rows, at least."""
        return self.to_dict()


def data_frame(columns: Mapping[str, Values]) -> pandas.DataFrame:
    """Columns as a data frame of pandas.

    :raises ExtraError: if pandas is not installed
    """
    with extra("pandas"):
        import pandas
    return pandas.DataFrame(columns)


def column(values: Sequence[Any]) -> Values:
    """Values as an array: of bool, of int64 or uint64 if all are whole and fit, else of objects."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, np.bool_)
    if kinds == {int}:
        for dtype in (np.int64, np.uint64):
            limits = np.iinfo(dtype)
            if limits.min <= min(values) and max(values) <= limits.max:
                return np.array(values, dtype)
    out = np.empty(len(values), np.object_)
    out[:] = values
    return out


def _of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _rows(columns: Mapping[str, Values]) -> int:
    return len(next(iter(columns.values()), ()))


def _table(columns: Mapping[str, Values]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    shown = zip(*(_cells(name, values[:_SHOWN]) for name, values in columns.items()), strict=True)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in shown)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(name: str, values: Values) -> Iterable[str]:
    for value in values.tolist():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name == "address" and number:
            text = f"{value:#x}"
        elif number:
            text = f"{value:,}"
        else:
            text = "" if value is None else str(value)
        align = ' style="text-align: right"' if number else ""
        yield f"<td{align}>{escape(text)}</td>"
