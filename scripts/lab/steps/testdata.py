"""The committed dumps: which ones there are, and what belongs to them."""

import json
import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import crash, debuginfo, kernels, pack, slabs, thin, work
from .kernel import Kernel

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
    pack: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    without_files: bool = False


def entries() -> list[Entry]:
    described = tomllib.loads((work.LAB / "testdata.toml").read_text())
    return [Entry(folder=folder, **rest) for folder, rest in described.items()]


def make(folders: list[str], accelerator: str) -> None:
    """Makes the named folders again, or all of them."""
    chosen = [entry for entry in entries() if not folders or entry.folder in folders]
    if missing := set(folders) - {entry.folder for entry in chosen}:
        raise work.LabError(f"testdata has no {', '.join(sorted(missing))}")
    for entry in chosen:
        built = kernels.load(entry.kernel)
        kernels.make(built)
        folder = TESTDATA / entry.folder
        crash.dump(built, crash.load(entry.scenario), folder, accelerator)
        system_map = built.build / "System.map" if isinstance(built, Kernel) else None
        for name in entry.thin:
            full = slabs.full(folder / name) if entry.without_files else set()
            thin.thin(folder / name, system_map, full)
        if entry.thin:
            _note(folder / "made.json", "code_left_out", entry.thin)
        if entry.without_files:
            _note(folder / "made.json", "inodes_left_out", entry.thin)
        for name in entry.pack:
            pack.pack(folder / name)
        for name in entry.without:
            (folder / name).unlink()
        if isinstance(built, Kernel):
            _add_files(entry, built, folder)
        crash.sums(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        work.say(f"{size:,} bytes in testdata/{entry.folder}")


def _add_files(entry: Entry, kernel: Kernel, folder: Path) -> None:
    for name in entry.modules:
        shutil.copy(kernel.modules / "stripped" / name, folder / name)
    for name in entry.debuginfo:
        debuginfo.add(kernel, folder / name)


def _note(made: Path, key: str, value: list[str]) -> None:
    made.write_text(json.dumps(json.loads(made.read_text()) | {key: value}, indent=2) + "\n")
