# SPDX-License-Identifier: LGPL-2.1-or-later
"""``allocdump schema``"""

from __future__ import annotations

import click

from ..formats.schemas import NAMES, as_text
from .output import output_option, write
from .parameters import Choice, Command


@click.command("schema", cls=Command)
@click.argument("command_name", metavar="COMMAND", type=Choice(NAMES))
@output_option
def command(command_name: str, output: str | None) -> None:
    """The JSON Schema of a command's --format json.

    Describes exactly the document, or each line, that this version of allocdump writes
    (draft 2020-12 of JSON Schema).

    \b
    Examples:
      allocdump schema report > report.schema.json
      allocdump schema leaks | jq '.oneOf[].title'
    """
    write(as_text(command_name), output)
