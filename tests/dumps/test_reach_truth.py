# SPDX-License-Identifier: LGPL-2.1-or-later
"""What reach.ko recorded as held and as lost is what the dumps have."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu

from ..dumpdata import FOLDERS, name, open_core, recorded

FOLDERS_OF_REACH = [f for f in FOLDERS if f.name.endswith("-reach")]
pytestmark = pytest.mark.parametrize("path", [f / "vmcore" for f in FOLDERS_OF_REACH], ids=name)


def of_reach(path: Path) -> list[tuple[str, int, int, int, str, int, str]]:
    return [r for r in recorded(path) if r[6] == "reach"]


def cases(path: Path) -> dict[tuple[str, str], list[int]]:
    """{(function, kind): [address of each allocation]}, each attributed to the line recorded."""
    dump = open_core(path)
    sites = dump.origins
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for kind, address, size, line, state, _, module in of_reach(path):
        layers = dump.whois(f"{address:#x}").layers
        layer = next((x for x in layers if x.site is not None), None)
        if layer is None or layer.site is None or layer.site >= sites.tagged:
            assert (kind, state) == ("percpu", "held")  # those of the first chunk
            continue
        assert layer.site is not None
        assert layer.size is not None
        assert (sites.module[layer.site], sites.line[layer.site]) == (module, line)
        assert layer.size >= size or kind in ("percpu", "vmalloc")
        function = sites.function[layer.site]
        assert state == {"hold": "held", "lose": "lost"}[function.partition("_")[0]]
        found[function, kind].append(address)
    return found


def test_every_record_is_attributed_to_its_line_and_case(path: Path) -> None:
    found = cases(path)
    assert len({function for function, _ in found}) == 26
    assert {kind for _, kind in found} == {"kmalloc", "page", "compound", "vmalloc", "percpu"}


def test_the_records_are_all_there_is(path: Path) -> None:
    """The kernel counted as many calls at each line; a vmalloc counts its pages too."""
    sites = open_core(path).origins
    counted = {
        sites.line[i]: int(sites.calls[i])
        for i in range(len(sites))
        if sites.module[i] == "reach" and sites.calls[i]
    }
    lines = Counter(r[3] for r in of_reach(path) if r[0] in ("kmalloc", "page", "compound"))
    assert len(lines) > 20
    for line, count in lines.items():
        assert counted[line] == count


def test_rcu_callbacks_still_wait(path: Path) -> None:
    """Their grace period cannot end in a machine that has stopped."""
    prog = open_core(path).prog
    waiting = set()
    for cpu in for_each_online_cpu(prog):
        head = per_cpu(prog["rcu_data"], cpu).cblist.head
        while head:
            waiting.add(head.value_())
            head = head.next
    objects = cases(path)["hold_by_rcu", "kmalloc"]
    assert len(objects) == 48
    assert all(any(at <= head < at + 216 for head in waiting) for at in objects)
