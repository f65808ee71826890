# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables as dataclasses of columns: numpy arrays of one length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from .problems import Problem
from .result import Result
from .result import Values as Values

Bool = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
Int = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]


def ranges(counts: npt.NDArray[np.integer]) -> Int:
    """0, 1, 2 ... up to each of *counts*, one after the other: shape (sum of counts,).

    With ``np.repeat(starts, counts)`` added, runs of indexes of different lengths.
    """
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) - np.repeat(ends - counts, counts))


IndexT = TypeVar("IndexT", bound=np.integer)


def ends(up: npt.NDArray[IndexT]) -> npt.NDArray[IndexT]:
    """Ends of following *up* from each index; an end points at itself."""
    while not np.array_equal(further := up[up], up):
        up = further
    return up


def sum_by(index: npt.NDArray[np.integer], values: npt.NDArray[np.integer], length: int = 0) -> Int:
    """Sum of the *values* of each *index*: shape (length,), or more if indexes are larger.

    Exact up to 2^53, since bincount's weights are floats.
    """
    return np.bincount(index, values, length).astype(np.int64)


class Columns(Result):
    """Base of dataclasses whose array fields are the columns of a table.

    Fields that are no arrays say something of the table as a whole; a field that is
    itself a table has the same rows.
    """

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns().values())))

    def _columns(self) -> dict[str, Values]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def to_dict(self) -> dict[str, Values]:
        """The columns by name; not copies."""
        return self._columns()

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Self:
        """The given rows, in the given order; or those marked True."""

        def chosen(value: Any) -> Any:
            if isinstance(value, Columns):
                return value.take(rows)
            return value[rows] if isinstance(value, np.ndarray) else value

        return type(self)(**{name: chosen(value) for name, value in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """One table of the rows of all *parts*, of which there is at least one.

        Only for tables that are nothing but columns.
        """
        columns = [part._columns() for part in parts]
        return cls(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})


TableT = TypeVar("TableT", bound=Columns)


class Batches(Result, Generic[TableT]):
    """A table too long for memory: iterate over it in batches, or take it whole all the same."""

    def __init__(
        self, batches: Callable[[], Iterator[TableT]], problems: list[Problem] | None = None
    ) -> None:
        self._batches = batches
        self.problems = [] if problems is None else problems
        """Unreadable memory, as far as batches were taken."""

    def __iter__(self) -> Iterator[TableT]:
        return self._batches()

    def whole(self) -> TableT:
        """All batches as one table."""
        first, *rest = self
        return first.concatenate([first, *rest])

    def to_dict(self) -> dict[str, Values]:
        """The columns of all batches by name."""
        return self.whole().to_dict()

    def in_short(self) -> str:
        """A hint: its length is known only when all is read."""
        return "read batch by batch; whole(), to_dict() and to_pandas() take all of it"

    def _head(self) -> Mapping[str, Values]:
        return next((batch.to_dict() for batch in self if len(batch)), {})
