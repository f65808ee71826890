# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run commands on dumps with damage, and list those that mind: ``scripts/hostile``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter, defaultdict

import click

from ..dumpdata import FOLDERS
from . import files
from .child import Outcome
from .runs import MEMORY_KINDS, Run, execute, plan

WITH_TYPES = tuple(folder.name for folder in FOLDERS if folder.name != "tiny-noprofiling")
"""Dumps that commands can read without a vmlinux."""


def _do(run: Run) -> tuple[Run, Outcome, str]:
    return (run, *execute(run))


@click.command()
@click.option("--seeds", default=300, show_default=True, help="Number of runs.")
@click.option("--first", default=0, show_default=True, help="First seed.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--dump", "folders", multiple=True, help="Folder of testdata/ (default: all).")
@click.option("--command", "commands", multiple=True, help="Only runs of this command.")
@click.option("--files", "in_files", is_flag=True, help="Damage files instead of memory.")
@click.option("--show", is_flag=True, help="Show what the first run printed.")
def main(
    seeds: int, first: int, jobs: int, folders: tuple[str, ...], commands: tuple[str, ...],
    in_files: bool, show: bool,
) -> None:  # fmt: skip
    """Lay damage into dumps, run commands on them, and name each run that failed.

    Exit code 1 if any did. A seed gives the same run again, with the same --dump and --files.
    """
    kinds_of_damage = files.KINDS if in_files else MEMORY_KINDS
    numbers = range(first, first + seeds)
    runs = [plan(seed, folders or WITH_TYPES, kinds_of_damage) for seed in numbers]
    runs = [run for run in runs if not commands or run.words[0] in commands]
    # A worker that keeps to one dump looks for its places once.
    runs.sort(key=lambda run: (run.folder, run.words, run.seed))
    start = time.monotonic()
    kinds, failed = Counter[str](), Counter[str]()
    seconds: dict[str, float] = defaultdict(float)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for run, outcome, sentence in pool.imap_unordered(_do, runs, chunksize=8):
            kinds[run.kind] += 1
            seconds[run.kind] += outcome.seconds
            if show:
                sys.stdout.buffer.write(outcome.out + outcome.err)
            if sentence:
                failed[run.kind] += 1
                click.echo(f"{run}: {sentence}")
    rows = [(kind, kinds[kind], failed[kind], seconds[kind]) for kind in sorted(kinds)]
    rows.append(("all", len(runs), failed.total(), time.monotonic() - start))
    click.echo(f"{'KIND':<12}{'RUNS':>8}{'FAILED':>8}{'SECONDS':>9}")
    for kind, count, bad, took in rows:
        click.echo(f"{kind:<12}{count:>8,}{bad:>8,}{took:>9,.0f}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
