# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run commands on dumps with damage, and list those that mind: ``scripts/hostile``."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter

import click

from ..dumpdata import FOLDERS
from .child import Outcome
from .runs import Run, execute, plan

WITH_TYPES = tuple(folder.name for folder in FOLDERS if folder.name != "tiny-noprofiling")
"""Dumps that commands can read without a vmlinux."""


def _do(run: Run) -> tuple[Run, Outcome, str]:
    return (run, *execute(run))


@click.command()
@click.option("--seeds", default=300, show_default=True, help="Number of runs.")
@click.option("--first", default=0, show_default=True, help="First seed.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--dump", "folders", multiple=True, help="Folder of testdata/ (default: all).")
@click.option("--show", is_flag=True, help="Show what the first run printed.")
def main(seeds: int, first: int, jobs: int, folders: tuple[str, ...], show: bool) -> None:
    """Lay damage into dumps, run commands on them, and name each run that failed.

    Exit code 1 if any did. A seed gives the same run again, with the same --dump.
    """
    runs = [plan(seed, folders or WITH_TYPES) for seed in range(first, first + seeds)]
    # A worker that keeps to one dump looks for its places once.
    runs.sort(key=lambda run: (run.folder, run.words, run.seed))
    start, failed, kinds = time.monotonic(), 0, Counter[str]()
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for run, outcome, sentence in pool.imap_unordered(_do, runs, chunksize=8):
            kinds[run.kind] += 1
            if show:
                sys.stdout.buffer.write(outcome.out + outcome.err)
            if sentence:
                failed += 1
                click.echo(f"{run}: {sentence}")
    took = time.monotonic() - start
    table = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    click.echo(f"{seeds:,} runs ({table}), {failed:,} failed, {took:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
