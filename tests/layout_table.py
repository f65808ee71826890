# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tables of layouts in docs/architecture.md, of bugs in docs/known-bugs.md, of releases in
docs/releases.md, of architectures in docs/architectures.md.

``python -m tests.layout_table`` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from allocdump.kernel.bugs import Bug, KnownBug
from allocdump.kernel.layouts import LAYOUTS, Layout

from .dumpdata import CORES_WITH_TRUTH, FOLDERS, MADE, STOCK, made, page_size, run
from .releases.facts import Release, releases

DOCS = Path(__file__).parent.parent / "docs"


def table() -> str:
    """A row for each variant, newest first."""
    rows = [
        "| structure | since | variant | Linux kernel commit | tested on dump |",
        "|---|---|---|---|---|",
    ]
    for layout in LAYOUTS:
        name = layout.structure()
        for variant in layout:
            v = variant.value
            dump = f"`{v.dump}`" if v.dump else _without_dump(layout, variant)
            rows.append(f"| {name} | {v.since} | {v.text} | {v.commit} | {dump} |")
            name = ""
    return "\n".join(rows) + "\n"


def _without_dump(layout: type[Layout], variant: Layout) -> str:
    """Whether a synthetic machine has it: see docs/releases.md."""
    made = any(release.variant(layout) is variant for release in releases())
    return "synthetic" if made and variant.value.since else "none"


def bugs() -> str:
    """A row for each bug."""
    rows = ["| bug | effect | fix | since | fixed |", "|---|---|---|---|---|"]
    for bug in Bug:
        b: KnownBug = bug.value
        fix = f'{b.commit} ("{b.subject}")' if b.commit else ""
        rows.append(f"| {b.title} | {b.effect} | {fix} | {b.since} | {b.fixed} |")
    return "\n".join(rows) + "\n"


def tested() -> str:
    """A row for each release: how what reads it is tested."""
    rows = [
        "| release | report, pages, objects, whois, usage, audit | leaks, retained, paths, triage"
        " | without a profile | facts |",
        "|---|---|---|---|---|",
    ]
    for release in releases():
        own = [folder for folder in FOLDERS if _is_of(folder, release)]
        count = len(own) - len({*own} & {*STOCK})
        dumps = f"{count} dumps" if count else ""
        both = ", ".join(filter(None, [dumps, "synthetic"]))
        stock = ", ".join(f"`{folder.name}`" for folder in own if folder in STOCK)
        cells = [release.name, both, dumps or "none", stock or "none", "; ".join(release.sources)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


ANSWERS = {
    "triage": [], "report": [], "pages": [], "objects": [], "whois": ["init_task"], "usage": [],
    "leaks": [], "retained": [], "paths": ["init_task"], "audit": [],
}  # fmt: skip
"""Commands that each architecture answers, or does not, and their arguments."""


def architectures() -> str:
    """A row for each architecture and size of pages of bundled dumps: the commands' exit codes on
    the smallest of them."""
    heads = ["architecture", "pages", "bundled dumps", "tried on", *map("`{}`".format, ANSWERS)]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    kinds: dict[tuple[str, int], list[Path]] = {}
    for path in CORES_WITH_TRUTH:
        kind = made(path).get("architecture", "x86_64").replace("x86_64", "x86-64")
        kinds.setdefault((kind, page_size(path)), []).append(path)
    for (kind, size), paths in sorted(kinds.items()):
        smallest = min(paths, key=lambda path: (path.stat().st_size, path))
        codes = (run(command, smallest, *args).returncode for command, args in ANSWERS.items())
        yes = ("yes" if code == 0 else f"no: exit code {code}" for code in codes)
        dump = f"`{smallest.parent.name}`"
        rows.append(f"| {' | '.join([kind, f'{size >> 10} KiB', str(len(paths)), dump, *yes])} |")
    return "\n".join(rows) + "\n"


def _is_of(folder: Path, release: Release) -> bool:
    return str(MADE[folder]["kernel"]["version"]).startswith(f"{release.name}.")


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "architecture.md": ("layouts", table),
    "architectures.md": ("tried", architectures),
    "known-bugs.md": ("bugs", bugs),
    "releases.md": ("releases", tested),
}
"""Pages in docs/, what the table is marked with there, and the table."""


def with_table(name: str, page: str) -> str:
    """The page of that name, with the table as it is now."""
    mark, made = TABLES[name]
    place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->\n)", re.DOTALL)
    assert len(place.findall(page)) == 1
    return place.sub(lambda found: found[1] + made() + found[2], page)


if __name__ == "__main__":
    for name in TABLES:
        (DOCS / name).write_text(with_table(name, (DOCS / name).read_text()))
