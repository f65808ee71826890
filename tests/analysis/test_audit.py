# SPDX-License-Identifier: LGPL-2.1-or-later
"""Causes of differences between counters and memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Unpack

import numpy as np
import pytest

from allocdump.analysis.attribution import Tally
from allocdump.analysis.audit import Audit, Cause, PerCpuAccounting, audit, full_size
from allocdump.arrays import Int
from allocdump.formats.records import audit as records
from allocdump.kernel.tags.profile import Completeness
from allocdump.kernel.tags.profiling import Profiling, ProfilingState
from allocdump.kernel.tags.sites import Provenance
from allocdump.view.audit import _sums

from .. import samples
from ..samples import Marks, sites
from .test_usage import attribution


def run(
    counted: list[int],
    found: Sequence[int] = (),
    calls: int = 1,
    state: ProfilingState = "on",
    done: Completeness | None = None,
    percpu: list[int] | None = None,
    tails: Sequence[int] = (),
    **how: Unpack[Marks],
) -> Audit:
    rows = sites(*[("a.c", i, "f", "", b, calls) for i, b in enumerate(counted)], **how)
    tallies = ("pages", "inferred", "objects", "percpu")
    memory = attribution(**{name: Tally.zeros(len(counted)) for name in tallies})
    memory.pages.bytes[: len(found)] = found
    memory.pages.calls[: len(found)] = np.array(found) > 0
    memory.inferred.bytes[: len(tails)] = tails
    memory.slab.unreadable[:] = 0
    if percpu is not None:
        memory.percpu.bytes[:] = percpu
    return audit(
        rows, memory, cpus=2, cgroup_pointers=True, profiling=Profiling(state, False),
        completeness=done or Completeness(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (lambda: run([4096], [4096]), Cause.AGREES),
        (lambda: run([4096], [0], calls=0), Cause.NO_CALLS),
        (lambda: run([1 << 20], [4096]), Cause.UNEXPLAINED),
        (lambda: run([4096], [1 << 20]), Cause.UNEXPLAINED),
        (lambda: run([4096 + 1024], [4096]), Cause.NO_VECTOR),
        (lambda: run([8192], [4096], inaccurate=True), Cause.INACCURATE),
        (lambda: run([8192], [4096], state="off"), Cause.SWITCHED_OFF),
        (lambda: run([8192], [4096], done=Completeness(uncounted=1)), Cause.EXCLUDED),
        (lambda: run([8192], [4096], evidence=Provenance.NONE), Cause.COUNTERS_INCOMPLETE),
        (lambda: run([0], [4096], evidence=Provenance.NONE, unloaded=True), Cause.COUNTERS_GONE),
    ],
)
def test_causes(result: Callable[[], Audit], cause: Cause) -> None:
    assert result().cause[0] == cause


def test_no_more_is_inferred_than_the_counter_has() -> None:
    """A page on its way to a free list looks like a tail of the allocation before it."""
    found = run([4096, 16384, 4096, 4096], [4096] * 4, tails=[4096, 12288, 0, 8192])
    assert found.inferred.tolist() == [0, 12288, 0, 0]
    assert found.difference.tolist() == [0, 0, 0, 0]
    # Where the counter does not know, what follows is all there is.
    unsure = run([4096], [4096], tails=[4096], inaccurate=True)
    assert unsure.inferred.tolist() == [4096]
    gone = run([0], [4096], tails=[4096], evidence=Provenance.NONE)
    assert gone.inferred.tolist() == [4096]


def test_matched_share() -> None:
    assert run([1000, 3000], [1000, 3000]).matched() == 1
    assert run([1000, 3000], [1000, 0]).matched() == 0.25
    assert run([0], [0]).matched() == 1


def test_per_cpu_accounting_is_told_by_the_counters() -> None:
    """256 bytes count as 256 in Linux 7.2, as 1,024 with two CPUs and cgroups in 6.12 and 7.3."""
    size = np.array([256])
    assert full_size(size, 2, True).tolist() == [1024]
    assert full_size(size, 64, True).tolist() == [16896]
    one, full = run([256], percpu=[256]), run([1024], percpu=[256])
    assert one.accounting == PerCpuAccounting.ONE_COPY
    assert full.accounting == PerCpuAccounting.ALL_COPIES
    assert not one.difference.any()
    assert not full.difference.any()


@pytest.mark.parametrize(
    "told_by_none",
    [
        lambda: run([256], [256]),  # no references
        lambda: run([300], percpu=[256]),  # agrees with neither
        lambda: run([256, 1024], percpu=[256, 256]),  # as many agree with either
        lambda: run([0], percpu=[256], evidence=Provenance.NONE),
    ],
)
def test_per_cpu_accounting_may_be_unknown(told_by_none: Callable[[], Audit]) -> None:
    found = told_by_none()
    assert found.accounting is None
    rows = [("a.c", i, "f", "", 0, 0) for i in range(len(found.counter))]
    report = samples.report(sites(*rows))
    sentence = _sums(report, found)
    assert "nothing tells how per-CPU memory is counted" in sentence.values.values()
    record = json.loads(records.as_json(report, found, np.zeros(0, np.intp), {}))
    assert record["percpu_accounting"] is None


def test_differences_are_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each site, of which there may be a hundred thousand."""
    asked = []
    difference = vars(Audit)["difference"].fget

    def counted(found: Audit) -> Int:
        asked.append(found)
        taken: Int = difference(found)
        return taken

    monkeypatch.setattr(Audit, "difference", property(counted))
    run([8192] * 50, [4096] * 50)
    assert 0 < len(asked) < 5
