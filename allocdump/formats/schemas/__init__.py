# SPDX-License-Identifier: LGPL-2.1-or-later
"""JSON Schemas (draft 2020-12) of ``--format json``, one file for each command.

A schema describes exactly the documents, or lines, that this version of allocdump writes.
"""

from __future__ import annotations

import json
from importlib import import_module

from ...commands import WITH_JSON
from .words import Schema

NAMES = WITH_JSON
"""The commands that have a schema: each is a module here."""


def schema(name: str) -> Schema:
    """The schema of a command's JSON.

    :param name: one of :data:`NAMES`
    """
    found: Schema = import_module(f".{name}", __package__).SCHEMA
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def as_text(name: str) -> str:
    """The schema as a JSON document."""
    return json.dumps(schema(name), indent=1) + "\n"
