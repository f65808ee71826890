# SPDX-License-Identifier: LGPL-2.1-or-later
"""All JSON of all commands on all bundled dumps is as its schema says; a wrong document is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from allocdump.analysis.growth import Watch, largest
from allocdump.commands import COMMANDS
from allocdump.formats.records import doctor, watch
from allocdump.formats.schemas import NAMES, schema
from allocdump.source.host import examine
from allocdump.triage import triage

from .. import cases
from ..dumpdata import (
    CORES,
    CORES_WITH_TRUTH,
    STOCK_CORES,
    TESTDATA,
    core,
    name,
    open_core,
    run,
)
from ..schemas import FOLDER, texts

OF_DUMPS = [
    ["report", "--all"], ["report", "--group-by", "directory,zone"], ["usage"], ["audit", "--all"],
    ["pages"], ["pages", "--list", "--top", "200"],
    ["pages", "--group-by", "directory,cgroup,node,type"],
    ["objects"], ["objects", "--list", "--top", "200"],
    ["objects", "--group-by", "directory,cache,order"],
    ["objects", "--group-by", "cache"],
    ["objects", "--group-by", "vmalloc"],
    ["leaks"], ["leaks", "--group-by", "directory,zone"], ["leaks", "--list", "--top", "200"],
    ["usage", "--fragmentation"], ["usage", "--by", "node"],
    ["retained", "--depth", "3"], ["retained", "--filter", "*"],
    ["triage"], ["doctor"],
]  # fmt: skip
"""Commands with options, as far as these change the form of the answer."""

DUMPS = [*CORES, *STOCK_CORES]


def addresses(path: Path) -> list[str]:
    """Pages of all kinds among them; of each dump other ones."""
    pages = range(97 * DUMPS.index(path) % 389, 64000, 389)
    return ["init_task", "0", "0x1000", "mem_section", *(f"pfn:{n}" for n in pages)]


REFUSED = (4, 5, 6)
"""Exit codes for dumps that tell nothing of it."""

OPTIONAL = {
    "usage": {"note", "children", "by"},
    "report": {"directory", "zone"},
    "pages": {"directory", "cgroup", "node", "type"},
    "objects": {"directory", "cache", "order"},
    "leaks": {"directory", "zone"},
    "triage": {"events", "limits", "usage", "zones", "blocks", "sites", "kernel_top_ten", "tasks",
               "open_files", "cgroups", "caches", "vmalloc", "tmpfs", "known_bugs"},
    "whois": {"order_inferred", "first_pfn", "node", "zone", "memory_cgroup", "state", "caller",
              "cpu", "referrers", "maps", "task", "symbol", "module"},
}  # fmt: skip
"""Fields that are left out where there is nothing to say: by docs/json.md and triage-json.md."""


@cache
def validator(command: str) -> Draft202012Validator:
    return Draft202012Validator(schema(command), format_checker=FormatChecker())


def check(command: str, documents: list[Any]) -> None:
    """Fail with the first thing that is not as the schema has it."""
    for document in documents:
        for error in validator(command).iter_errors(document):
            deepest = max([error, *(error.context or [])], key=lambda e: len(e.absolute_path))
            pytest.fail(f"{command}: {deepest.json_path}: {deepest.message[:300]}")


def parse(text: str) -> Any:
    """NaN and Infinity are no JSON."""
    return json.loads(text, parse_constant=lambda constant: pytest.fail(constant))


def answers(command: str, *args: object) -> list[Any]:
    """Documents or lines of a command; none where the dump cannot answer."""
    done = run(command, *args, "--format", "json")
    if done.returncode in REFUSED:
        assert done.stdout == ""
        return []
    assert done.returncode == 0, done.stderr
    # Only documents name their schema.
    forms = schema(command).get("oneOf", [schema(command)])
    whole = any("schema" in form.get("properties", {}) for form in forms)
    return [parse(done.stdout)] if whole else list(map(parse, done.stdout.splitlines()))


@cache
def samples() -> dict[str, list[Any]]:
    """Answers of each command, each in all its forms, with short lists."""
    dump = core("6.12-oom")
    forms: dict[str, list[Any]] = {command: [] for command in NAMES}
    for command, *options in OF_DUMPS:
        forms[command] += answers(command, dump, *options)[:1]
    forms["retained"] += answers("retained", dump)[1:2]
    forms["whois"] = answers("whois", dump, "pfn:2000", "init_task", "0")
    forms["whois"] += answers("whois", dump, "init_task", "pfn:2000", "--referrers", "--top", "4")
    forms["paths"] = answers("paths", dump, "pfn:2000")
    forms["tags"] = answers("tags", TESTDATA / "7.2-quiet" / "labmod.ko")
    forms["diff"] = diffs(core("7.3-before"), core("7.3-after"))
    forms["watch"] = rounds()
    forms["doctor"].append(parse(doctor.machine(examine())))
    return {command: list(map(shortened, found)) for command, found in forms.items()}


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    return list(map(shortened, value[:2])) if isinstance(value, list) else value


def diffs(before: Path, after: Path) -> list[Any]:
    both = (before, after, "--all")
    return answers("diff", *both) + answers("diff", *both, "--group-by", "module")


def rounds() -> list[Any]:
    sites = open_core(core("6.12-oom")).report().sites
    growth = Watch(sites.take(np.arange(1, len(sites)))).round(sites, 1.0)
    return [parse(watch.as_json(growth, largest(growth, 5), datetime.now(UTC)))]


@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_all_json_is_as_the_schema_says(path: Path) -> None:
    answered = set()
    for command, *options in OF_DUMPS:
        found = answers(command, path, *options)
        answered |= {command} if found else set()
        check(command, found)
    if path in CORES_WITH_TRUTH:
        assert answered >= {"triage", "report", "usage", "audit", "pages", "objects", "retained"}


REFERRED = {core("7.2-quiet"), core("6.12-oom"), core("7.3-debug"), core("arm64-reach")}
"""Dumps in which many addresses are searched for."""


@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_addresses(path: Path) -> None:
    done = run("whois", path, *addresses(path), "--format", "json")
    assert done.stdout or done.returncode in REFUSED
    check("whois", list(map(parse, done.stdout.splitlines())))
    few = addresses(path)[: 40 if path in REFERRED else 4]
    check("whois", answers("whois", path, *few, "--referrers", "--top", "9"))
    for address in ("init_task", "pfn:5000", "pfn:20000"):
        check("paths", answers("paths", path, address))


def test_kernel_text_and_saved_reports(tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    run("report", core("7.3-before"), "--format", "json", "--all", "--output", saved)
    check("diff", diffs(core("7.3-before").parent / "truth.allocinfo", saved))


def test_cases_that_no_dump_shows() -> None:
    from allocdump.formats.records.triage import as_json

    zone = cases.zone(300, blocks=(1, 0))
    ill = cases.case(events=[cases.event(fatal=False), cases.event(order=3)], zones=[zone])
    for case in (ill, cases.case(zones=[], events=[], footprint=None, usage=None)):
        check("triage", [parse(as_json(triage(case)))])


def test_every_command_with_json_has_a_schema() -> None:
    assert set(NAMES) == set(COMMANDS) - {"schema", "shell", "completion"}


@pytest.mark.parametrize("command", NAMES)
def test_schemas_are_schemas(command: str) -> None:
    Draft202012Validator.check_schema(schema(command))
    assert schema(command)["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    for found in objects(schema(command)):
        if found.get("type") == "object" and "properties" in found:
            assert found["additionalProperties"] is False


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from objects(inner)


def wrong(document: Any, optional: set[str]) -> Iterator[tuple[str, Any]]:
    """The document with one thing that is wrong, in all ways, and the name of the thing.

    Sentences have any values, chapters any facts that there are, zones the migratetypes of their
    kernel.
    """
    changed = copy.deepcopy(document)
    every = list(objects(changed))
    values = [id(found["values"]) for found in every if found.keys() == {"text", "values"}]
    names = ("facts", "summary", "free_by_type")
    some = [id(found[name]) for found in every for name in names if name in found]
    for found in every:
        free = id(found) in values
        for key, value in [] if free else list(found.items()):
            if key not in optional and id(found) not in some:
                del found[key]
                yield f"no {key}", changed
            for other in others(value):
                found[key] = other
                yield f"{key}: {other!r}", changed
            found[key] = value
        if not free:
            found["surprise"] = 1
            yield "surprise", changed
            del found["surprise"]


def others(value: Any) -> list[Any]:
    """Values of kinds that cannot stand for it."""
    if isinstance(value, bool) or value is None:
        return [[]]
    if isinstance(value, int | float):
        return [f"{value:.1%}", str(value), [value]]
    return [5, ["x"]] if isinstance(value, str) else [5, "x"]


@pytest.mark.parametrize("command", NAMES)
def test_a_wrong_document_fails(command: str) -> None:
    found, tried = samples()[command], 0
    assert found
    for document in found:
        check(command, [document])
        for what, changed in wrong(document, OPTIONAL.get(command, set())):
            assert not validator(command).is_valid(changed), what
            tried += 1
    assert tried > 10


def test_the_schemas_in_docs_are_those_that_are_printed() -> None:
    """``python -m tests.schemas`` writes them."""
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == texts()


def test_schema_of_no_command() -> None:
    done = run("schema", "nosuch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'nosuch' is not one of" in done.stderr
