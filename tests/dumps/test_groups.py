# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums by several keys, against sums by site and what a module recorded."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from allocdump.analysis.groups import group
from allocdump.analysis.keys import KEYS, SITE, Allocations
from allocdump.analysis.totals import object_sums, page_sums
from allocdump.formats.schemas import schema
from allocdump.kernel.mm.page_types import PageKind

from ..dumpdata import core, open_core, recorded, run

QUIET = core("7.2-quiet")


def rows(*args: object) -> list[dict[str, str]]:
    done = run(*args, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_accounted_objects_are_charged_to_the_cgroup_of_the_task() -> None:
    found = rows("objects", QUIET, "--filter", "labmod.c:*", "--group-by", "cgroup,function,cache")
    live = Counter(kind for kind, *_, state, _, _ in recorded(QUIET) if state == "live")
    charged = [row for row in found if row["cgroup"] != "(not charged)"]
    assert [(row["cgroup"], row["cache"], int(row["objects"])) for row in charged] == [
        ("/lab", "kmalloc-cg-256", live["kmalloc_account"])
    ]
    by_function = {row["function"]: row for row in found if row["cgroup"] == "(not charged)"}
    cache = by_function["labmod_cache (labmod.c)"]
    assert (cache["cache"], int(cache["objects"])) == ("labmod_cache", live["cache"])


def test_any_keys_add_up_to_all_memory() -> None:
    """By all of them, and by each alone; one pass over the pages, one over the objects."""
    dump = open_core(QUIET)
    kernel = dump.kernel
    pages = [(Allocations.of_pages(b), page_sums(b, kernel.page)) for b in dump.pages()]
    objects = [(Allocations.of_objects(b, kernel), object_sums(b)) for b in dump.objects()]
    for parts, fields in ((pages, ("bytes", "pages")), (objects, ("bytes", "objects"))):
        whole = [sum(int(sums[field].sum()) for _, sums in parts) for field in fields]
        chosen = [(key,) for key in KEYS.values()] + [tuple(KEYS.values())]
        for keys in chosen:
            found = group(keys, dump.names, fields, parts)
            assert [found.total(field) for field in fields] == whole
            labels = [one.labels for one in found]
            assert len(set(labels)) == len(labels)
            assert all(one.sites == 1 for one in found) or SITE not in keys
    by_type = group([KEYS["type"]], dump.names, ["bytes"], pages).groups
    of_slabs = next(one for one in by_type if one.labels == ("slab",)).sums["bytes"]
    assert of_slabs == 4096 * int(dump.attribution().slab.pages.sum())
    nodes = {one.labels[0] for one in group([KEYS["node"]], dump.names, ["bytes"], pages)}
    assert nodes == {0, 1}
    kinds = {one.labels[0] for one in by_type}
    assert kinds <= {kind.name.lower().replace("_", " ") for kind in PageKind}


def test_leaks_by_keys_add_up() -> None:
    whole = rows("leaks", QUIET, "--group-by", "module")
    for keys in ("node", "cgroup,type", "site,cache"):
        found = rows("leaks", QUIET, "--group-by", keys)
        for field in ("lost", "undecided", "allocations", "held", "held_allocations", "heads"):
            assert sum(int(r[field]) for r in found) == sum(int(r[field]) for r in whole), keys
    types = {r["type"] for r in rows("leaks", QUIET, "--filter", "module=leaked", "-g", "type")}
    assert types == {"in use", "slab"}


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("cgrup", "did you mean 'cgroup'?"),
        ("", "'' is not one of site, function"),
        ("site,module", "site does not go with module"),
        ("node,node", "twice"),
        ("vmalloc,node", "vmalloc does not go with other keys"),
    ],
)
def test_keys_that_do_not_go(keys: str, why: str) -> None:
    done = run("objects", QUIET, "--group-by", keys)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


@pytest.mark.parametrize("command", ["pages", "objects", "leaks"])
def test_groups_by_site_have_the_fields_of_a_site(command: str) -> None:
    path = core("stock-7.3-pipes")
    done = run(command, path, "--group-by", "cgroup,site", "--format", "json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found
    for one in found:
        Draft202012Validator(schema(command)).validate(one)
        assert (one["origin"], one["sites"]) == ("site", 1) or one["name"]
    if command != "leaks":
        assert {one["cgroup"] for one in found} == {"(not charged)", "/", "/lab"} - (
            {"/"} if command == "objects" else set()
        )
