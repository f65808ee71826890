# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small reports made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypedDict

import numpy as np

from allocdump.analysis.report import Origin, Report
from allocdump.kernel.machine.system import System
from allocdump.kernel.tags.codetag import CodetagType
from allocdump.kernel.tags.profile import Completeness
from allocdump.kernel.tags.profiling import Profiling
from allocdump.kernel.tags.sites import Provenance, Sites


class Marks(TypedDict, total=False):
    """Properties that all of some sites have."""

    unloaded: bool
    inferred: bool
    inaccurate: bool
    evidence: Provenance


class Wishes(TypedDict, total=False):
    """Of the reader of a document; see :class:`allocdump.view.renderer.How`."""

    exact: bool
    width: int | None
    wide: bool
    hint: str


def sites(
    *rows: tuple[str, int, str, str, int, int],
    unloaded: bool = False,
    inferred: bool = False,
    inaccurate: bool = False,
    evidence: Provenance = Provenance.COUNTER,
) -> Sites:
    """Sites from (file, line, function, module, bytes, calls)."""
    file, line, function, module, size, calls = zip(*rows, strict=True)
    n = len(rows)
    return Sites(
        address=np.arange(n, dtype=np.uint64) * 40 + 0xFFFFFFFF82000000,
        file=np.array(file, np.object_),
        line=np.array(line, np.uint32),
        function=np.array(function, np.object_),
        module=np.array(module, np.object_),
        unloaded=np.full(n, unloaded),
        inferred=np.full(n, inferred),
        inaccurate=np.full(n, inaccurate),
        bytes=np.array(size, np.int64),
        calls=np.array(calls, np.uint64),
        evidence=np.full(n, evidence, np.uint8),
    )


def report(
    columns: Sites,
    completeness: Completeness | None = None,
    warnings: Sequence[str] = (),
    more_types: Sequence[CodetagType] = (),
) -> Report:
    system = System("6.12.0", "#1 SMP", "x86_64", "db1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    origin = Origin(
        "vmcore", "kdump, zstd, -d 31", "btf", system, "Kernel panic", Profiling("on", False)
    )
    done = completeness or Completeness(expected=len(columns), found=len(columns))
    types = [CodetagType("alloc_tags", 40, len(columns)), *more_types]
    return Report(origin, columns, types, done, list(warnings))
