# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rename every name that commands read, one at a time: ``python -m tests.renamed``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

import click

from .names import Name
from .runs import COMMANDS, Words, readers, with_another


def _do(task: tuple[str, Name, tuple[Words, ...]]) -> tuple[Name, dict[str, str]]:
    folder, name, commands = task
    return name, with_another(folder, name, commands)


@click.command()
@click.option("--dump", "folders", multiple=True, required=True, help="Folder of testdata/.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--only", default="", help="Only names that contain this.")
@click.option("--new", is_flag=True, help="Only names that no dump before had.")
@click.option("--command", "only_commands", multiple=True, help="Only such commands.")
@click.option("--list", "only_list", is_flag=True, help="Only list the names.")
def main(
    folders: tuple[str, ...],
    jobs: int,
    only: str,
    new: bool,
    only_commands: tuple[str, ...],
    only_list: bool,
) -> None:
    """Rename each name that commands read of the dumps, and list the commands that mind.

    Exit code 1 if any did.
    """
    failed, seen = 0, set[str]()
    commands = tuple(w for w in COMMANDS if not only_commands or w[0] in only_commands)
    for folder in folders:
        start = time.monotonic()
        of = readers(folder, commands)
        chosen = [n for n in of if only in str(n) and not (new and str(n) in seen)]
        seen.update(map(str, chosen))
        if only_list:
            click.echo("\n".join(map(str, chosen)))
            continue
        bad = 0
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            done = pool.imap_unordered(_do, [(folder, name, of[name]) for name in chosen])
            for count, (name, found) in enumerate(done, 1):
                bad += bool(found)
                if count % 50 == 0:
                    click.echo(f"{folder}: {count} of {len(chosen)}")
                for command, sentence in found.items():
                    click.echo(f"{folder}: {name}: {command}: {sentence}")
        seconds = time.monotonic() - start
        click.echo(f"{folder}: {len(chosen)} names, {bad} failed, {seconds:,.0f} s")
        failed += bad
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
