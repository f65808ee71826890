# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words that schemas are made of; objects are strict, unless a field is said to be optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...analysis.keys import KEYS
from ...analysis.keys import SITE as SITE_KEY

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SIGNED: Schema = {"type": "integer"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
ADDRESS: Schema = {"type": "string", "pattern": "^0x[0-9a-f]+$"}
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$",
}
"""ISO 8601, UTC."""
STATE: Schema = {"enum": ["dead", "running", "paused"]}
"""State of the kernel while it was read."""


def or_null(schema: Schema) -> Schema:
    """The same, or null: nothing tells, or there is none."""
    match schema:
        case {"type": str(kind)}:
            return schema | {"type": [kind, "null"]}
        case {"enum": list(values)}:
            return {"enum": [*values, None]}
    return {"anyOf": [schema, NULL]}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"enum": list(values)}


def many(item: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item}


def record(
    fields: dict[str, Schema], optional: dict[str, Schema] | None = None, title: str = ""
) -> Schema:
    """An object with all of *fields*, any of *optional*, and nothing else."""
    named: Schema = {"title": title} if title else {}
    return named | {
        "type": "object",
        "properties": fields | (optional or {}),
        "required": list(fields),
        "additionalProperties": False,
    }


def document(
    name: str, version: int, fields: dict[str, Schema], optional: dict[str, Schema] | None = None
) -> Schema:
    """One document that names its schema."""
    head: dict[str, Schema] = {
        "schema": {"const": f"allocdump.{name}"},
        "version": {"const": version},
    }
    title = f"allocdump {name} --format json, version {version}"
    return record(head | fields, optional, title)


def either(title: str, *forms: Schema) -> Schema:
    """One of several records, each for other options of a command."""
    return {"title": title, "oneOf": list(forms)}


SITE: dict[str, Schema] = {
    "file": TEXT,
    "line": COUNT,
    "function": TEXT,
    "module": or_null(TEXT),
}
"""Fields of a call site; ``module`` is null for the kernel itself."""

SITE_OR_NONE: dict[str, Schema] = {name: or_null(kind) for name, kind in SITE.items()} | {
    "module": or_null(TEXT)
}
"""The same where there may be none: all four are null then."""

ORIGIN_OR_NONE: dict[str, Schema] = SITE_OR_NONE | {
    "origin": or_null(one_of("site", "cache", "caller", "pages", "percpu", "stack")),
    "name": or_null(TEXT),
}
"""Fields of a call site, or of another origin: ``name`` is null for the one, the first four for the
other, but for the module of a caller; all are null of neither."""

ORIGIN: dict[str, Schema] = ORIGIN_OR_NONE | {
    "origin": one_of("site", "cache", "caller", "pages", "percpu", "stack")
}
"""The same where there is one."""

_KEYS: dict[str, Schema] = {
    name: or_null(COUNT if key.kind == "number" else TEXT)
    for name, key in KEYS.items()
    if key is not SITE_KEY
}

GROUP: dict[str, Schema] = {"name": or_null(TEXT)}
"""Fields of every group: its labels as one text; with the key ``site``, the ``name`` of
:data:`ORIGIN`."""

GROUP_KEYS: dict[str, Schema] = _KEYS | ORIGIN_OR_NONE
"""A field for each key that was asked for: those of :data:`ORIGIN` for ``site``."""


def group(sums: Sequence[str]) -> Schema:
    """Allocations that were added up by keys."""
    fields = dict.fromkeys(sums, COUNT) | {"sites": COUNT} | GROUP
    return record(fields, GROUP_KEYS, title="--group-by with other keys: a group")
