"""The committed dumps: which ones there are, and what belongs to them."""

import json
import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import crash, debuginfo, kernel, thin, work

TESTDATA = work.REPO / "testdata"


@dataclass
class Entry:
    """One folder of testdata."""

    folder: str
    kernel: str
    scenario: str
    thin: list[str] = field(default_factory=list)
    debuginfo: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def entries() -> list[Entry]:
    described = tomllib.loads((work.LAB / "testdata.toml").read_text())
    return [Entry(folder=folder, **rest) for folder, rest in described.items()]


def make(folders: list[str], accelerator: str) -> None:
    """Makes the named folders again, or all of them."""
    chosen = [entry for entry in entries() if not folders or entry.folder in folders]
    if missing := set(folders) - {entry.folder for entry in chosen}:
        raise work.LabError(f"testdata has no {', '.join(sorted(missing))}")
    for entry in chosen:
        built = kernel.load(entry.kernel)
        kernel.make(built)
        folder = TESTDATA / entry.folder
        crash.dump(built, crash.load(entry.scenario), folder, accelerator)
        for name in entry.thin:
            thin.thin(folder / name, built.build / "System.map")
        if entry.thin:
            _note(folder / "made.json", "code_left_out", entry.thin)
        for name in entry.without:
            (folder / name).unlink()
        for name in entry.modules:
            shutil.copy(built.modules / "stripped" / name, folder / name)
        for name in entry.debuginfo:
            debuginfo.add(built, folder / name)
        crash.sums(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        work.say(f"{size:,} bytes in testdata/{entry.folder}")


def _note(made: Path, key: str, value: list[str]) -> None:
    made.write_text(json.dumps(json.loads(made.read_text()) | {key: value}, indent=2) + "\n")
