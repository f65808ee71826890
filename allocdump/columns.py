# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables as dataclasses of columns: numpy arrays of one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]


class Columns:
    """Base of dataclasses whose array fields are the columns of a table.

    Fields that are no arrays say something of the table as a whole; a field that is
    itself a table has the same rows.
    """

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.to_dict().values())))

    def to_dict(self) -> dict[str, Column]:
        """The columns by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Self:
        """The given rows, in the given order; or those marked True."""

        def chosen(value: Any) -> Any:
            if isinstance(value, Columns):
                return value.take(rows)
            return value[rows] if isinstance(value, np.ndarray) else value

        return type(self)(**{name: chosen(value) for name, value in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """One table of the rows of all *parts*, of which there is at least one."""
        columns = [part.to_dict() for part in parts]
        return cls(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})
