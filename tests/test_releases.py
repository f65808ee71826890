# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every release since 6.10: its layouts are found, and memory that is laid out so is read right."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from allocdump.analysis.groups import group
from allocdump.analysis.keys import KEYS, Allocations
from allocdump.analysis.totals import object_sums, page_sums
from allocdump.drgn.helpers.alloc_tag import alloc_tag_counters, for_each_alloc_tag
from allocdump.kernel.bugs import Bug
from allocdump.kernel.layouts import (
    LAYOUTS,
    ModuleCounters,
    ModuleTags,
    PageReferences,
    StackPools,
)
from allocdump.kernel.tags.references import NONE
from allocdump.kernel.tags.sites import UNKNOWN, Provenance
from allocdump.session import Session

from .releases.answers import answers, renamed, silent
from .releases.facts import Release, releases
from .releases.machine import DIRECT, GROUP, HELD, PAGES, SITES, VMALLOC, Machine, references

RELEASES = releases()
MACHINES = [(release, compressed) for release in RELEASES for compressed in references(release)]


@cache
def opened(name: str, compressed: bool) -> tuple[Machine, Session]:
    (release,) = (one for one in RELEASES if one.name == name)
    machine = Machine(release, compressed=compressed)
    return machine, machine.open()


@pytest.fixture(params=MACHINES, ids=[f"{r.name}-compressed" if c else r.name for r, c in MACHINES])
def made(request: pytest.FixtureRequest) -> tuple[Machine, Session]:
    release, compressed = request.param
    assert isinstance(release, Release)
    return opened(release.name, compressed)


def test_report(made: tuple[Machine, Session]) -> None:
    machine, dump = made
    report = dump.report()
    sites, truth = report.sites, machine.truth
    assert sites.function.tolist() == [function for _, _, function in SITES.values()]
    assert sites.bytes.tolist() == [truth.bytes(name) for name in SITES]
    assert sites.calls.tolist() == [truth.calls(name) for name in SITES]
    assert report.completeness.complete


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_modules(release: Release) -> None:
    """Counters of a loaded module, and of one that was unloaded if they are still its own."""
    report = Machine(release, modules=True).open().report()
    sites = report.sites.take(np.arange(len(SITES), len(report.sites)))
    assert not report.completeness.problems
    loaded, unloaded = sites.take(~sites.unloaded), sites.take(sites.unloaded)
    assert (loaded.module.tolist(), loaded.function.tolist()) == (["lab"], ["keep"])
    assert (loaded.bytes.tolist()[0], loaded.calls.tolist()[0]) == HELD["lab"]
    assert len(unloaded) == 1
    if release.variant(ModuleCounters) is ModuleCounters.ALLOCATED:
        assert (unloaded.bytes.tolist()[0], unloaded.calls.tolist()[0]) == HELD["gone"]
        assert unloaded.function.tolist() == [UNKNOWN]
    else:
        assert (unloaded.evidence != Provenance.COUNTER).all()
        if release.variant(ModuleTags) is ModuleTags.MODULE_DATA:
            assert unloaded.function.tolist() == ["leave"]


def test_pages(made: tuple[Machine, Session]) -> None:
    machine, dump = made
    names = list(SITES)
    found = set()
    for batch in dump.pages():
        known = batch.site < len(names)
        rows = zip(batch.pfn[known], batch.pages[known], batch.site[known], strict=True)
        found |= {(int(pfn), int(pages), names[site]) for pfn, pages, site in rows}
    assert found == machine.truth.pages


def test_objects(made: tuple[Machine, Session]) -> None:
    machine, dump = made
    names, reader = list(SITES), dump.objects()
    found, untagged = set(), set()
    for batch in reader:
        assert (batch.site != NONE).all()
        for address, size, site in zip(batch.address, batch.size, batch.site, strict=True):
            if site < len(names):
                found.add((int(address), int(size), names[site]))
            else:
                untagged.add(int(address))
    assert found == machine.truth.objects
    assert untagged == machine.truth.untagged
    assert reader.problems == []


def test_memory_cgroups(made: tuple[Machine, Session]) -> None:
    """Of pages, slab objects and per-CPU objects, by the path of the cgroup they are charged to."""
    machine, dump = made
    keys = [KEYS["cgroup"], KEYS["function"]]
    pages = ((Allocations.of_pages(b), page_sums(b, dump.kernel.page)) for b in dump.pages())
    objects = (
        (Allocations.of_objects(b, dump.kernel), object_sums(b))
        for b in (batch.take(batch.site >= 0) for batch in dump.objects())
    )
    found = {
        one.labels[1]: one.sums["bytes"]
        for parts in (pages, objects)
        for one in group(keys, dump.names, ["bytes"], parts)
        if one.labels[0] == GROUP
    }
    functions = {f"{SITES[site][2]} ({SITES[site][0]})": site for site in SITES}
    assert {functions[str(name)]: size for name, size in found.items()} == machine.truth.charged


def test_usage_adds_up(made: tuple[Machine, Session]) -> None:
    _, dump = made
    root = dump.usage()
    assert root.bytes == PAGES * 4096


def test_audit_agrees(made: tuple[Machine, Session]) -> None:
    _, dump = made
    audit = dump.audit()
    assert not np.flatnonzero(audit.difference).tolist()


LAYOUTS_OF_FACTS = [layout for layout in LAYOUTS if layout is not StackPools]
"""Pools of the stack depot are told by a symbol, and files have none."""


def test_layouts(made: tuple[Machine, Session]) -> None:
    """What is detected is what the table says that the release has."""
    machine, dump = made
    found = {layout: dump.kernel.layouts[layout] for layout in LAYOUTS_OF_FACTS}
    expected = {layout: machine.release.variant(layout) for layout in LAYOUTS_OF_FACTS}
    if not machine.compressed:
        expected[PageReferences] = PageReferences.PAGE_EXT
    assert found == expected


def test_slabs_without_a_vector(made: tuple[Machine, Session]) -> None:
    _, dump = made
    (part,) = (part for part in dump.pagemap if part.frames.section.pfn == 0)
    slabs = part.slabs
    assert slabs.pfn.tolist() == [2, 3, 8, 14]
    assert slabs.failed.tolist() == [False, False, False, True]
    assert slabs.objects.tolist() == [8] * 4
    assert slabs.inuse.tolist() == [3, 3, 3, 8]


def test_whois(made: tuple[Machine, Session]) -> None:
    machine, dump = made
    for address, size, site in machine.truth.objects:
        if address < DIRECT:
            continue
        inner = dump.whois(address + 8).layers[0]
        assert (inner.what, inner.start, inner.size) == ("slab object", address, size)
        assert inner.site == list(SITES).index(site)
    (area,) = (layer for layer in dump.whois(VMALLOC + 16).layers if layer.what == "vmalloc area")
    assert (area.start, area.size) == (VMALLOC, 2 * 4096)
    page = dump.whois(f"pfn:{6}")
    assert page.layers[0].site == list(SITES).index("pages")


def test_number_of_cpus_that_is_a_constant() -> None:
    """CONFIG_FORCE_NR_CPUS: the mask has room for all, and no variable tells how many there are."""
    machine = Machine(RELEASES[-1])
    del machine.objects["nr_cpu_ids"]
    dump = machine.open()
    assert dump.possible_cpus == 2
    assert dump.sites.bytes.tolist() == [machine.truth.bytes(name) for name in SITES]
    counted = [alloc_tag_counters(tag).bytes for tag in for_each_alloc_tag(dump.prog)]
    assert counted == dump.sites.bytes.tolist()


def test_areas_are_found_without_the_tree() -> None:
    machine = Machine(RELEASES[-1])
    del machine.objects["vmap_zone_size"]
    (area,) = (one for one in machine.open().whois(VMALLOC).layers if one.what == "vmalloc area")
    assert (area.start, area.size) == (VMALLOC, 2 * 4096)


@pytest.mark.parametrize("name", ["6.12", "7.3"])
def test_members_of_tomorrow(name: str) -> None:
    """A member with another name: no answer is another one without a word."""
    (release,) = (one for one in RELEASES if one.name == name)
    before = answers(Machine(release).open())
    failed = {
        f"{type_}.{member}": kinds
        for type_, facts in release.types.items()
        if not type_.startswith("enum ")
        for member in facts
        if member != "sizeof"
        if (kinds := silent(before, answers(renamed(release, type_, member))))
    }
    assert failed == {}


def test_every_release_since_profiling_is_there() -> None:
    found = [release.name for release in RELEASES]
    assert found == [f"6.{n}" for n in range(10, 20)] + [f"7.{n}" for n in range(4)]


HAVE = {
    # Types do not tell which of the two 6.10 and 6.11 have: stable ones may have e0a955bf7f61.
    Bug.MIGRATED: {"6.10", "6.11", "6.12"},
    Bug.MIGRATED_TAGS: {"6.10", "6.11"},
    Bug.VECTOR_CYCLES: {"6.10", "6.11", *(f"6.{n}" for n in range(13, 20)), "7.0"},
    Bug.MODULE_COUNTERS: {"6.13", "6.14"},
}
"""Releases of ours that have a bug; some are stable ones with its fix, as their sources tell."""


def test_releases_with_known_bugs() -> None:
    bugs = {r.name: opened(r.name, False)[1].bugs for r in RELEASES}
    assert {bug: {name for name in bugs if bug in bugs[name]} for bug in HAVE} == HAVE
