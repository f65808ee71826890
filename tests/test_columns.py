# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of columns, small enough to see through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from allocdump.arrays import Batches, Columns
from allocdump.errors import ExtraError


@dataclass
class Inner(Columns):
    letter: np.ndarray


@dataclass
class Table(Columns):
    title: str
    number: np.ndarray
    inner: Inner | None = None


def table(*numbers: int) -> Table:
    letters = np.array([chr(96 + n) for n in numbers], np.object_)
    return Table("a table", np.array(numbers, np.int64), Inner(letters))


def test_take() -> None:
    chosen = table(1, 2, 3).take(np.array([2, 0]))
    assert chosen.number.tolist() == [3, 1]
    assert chosen.inner is not None
    assert chosen.inner.letter.tolist() == ["c", "a"]
    assert chosen.title == "a table"
    assert len(chosen) == 2
    nothing = table(1, 2, 3).take(np.zeros(3, np.bool_))
    assert (len(nothing), nothing.number.dtype) == (0, np.dtype(np.int64))
    assert nothing.inner is not None
    assert Table("t", np.zeros(1)).take(np.array([True])).inner is None


def test_concatenate() -> None:
    parts = [Inner(np.array(list(text), np.object_)) for text in ("ab", "", "c")]
    assert Inner.concatenate(parts).letter.tolist() == ["a", "b", "c"]


def test_columns_are_not_copied() -> None:
    one = table(1, 2)
    columns = one.to_dict()
    assert list(columns) == ["number"]
    assert columns["number"] is one.number


def test_batches() -> None:
    made = []

    def make() -> Iterator[Inner]:
        made.append(True)
        yield from (Inner(np.array([c], np.object_)) for c in "abc")

    batches = Batches(make)
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert batches.whole().letter.tolist() == ["a", "b", "c"]
    assert batches.to_dict()["letter"].tolist() == ["a", "b", "c"]
    assert len(made) == 3


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = table(3, 4).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.number.tolist() == [3, 4]
    assert frame.number.dtype == np.int64
    assert frame.index.tolist() == [0, 1]
    batches = Batches(lambda: (Inner(np.array([c], np.object_)) for c in "ab"))
    assert batches.to_pandas().letter.tolist() == ["a", "b"]


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ExtraError) as raised:
        table(1).to_pandas()
    assert "pip install 'allocdump[pandas]'" in str(raised.value)
    assert raised.value.__suppress_context__
