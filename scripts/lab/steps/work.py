"""Where things are, and how commands are run."""

import os
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

LAB = Path(__file__).resolve().parent.parent
REPO = LAB.parent.parent
WORK = Path(os.environ.get("ALLOCDUMP_LAB") or REPO / ".lab").absolute()


class LabError(Exception):
    """A step could not be done; the text says why and where to look."""


def folder(*parts: str) -> Path:
    """Returns a folder inside the work folder, made if needed."""
    path = WORK.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    print(f"lab: {text}", flush=True)


def run(*command: str | Path, log: Path | None = None, **options: Any) -> str:
    """Runs a command and returns what it printed.

    With log, the output goes there instead, and a failure names that file.
    """
    words = [str(word) for word in command]
    if log:
        with log.open("w") as out:
            done = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, **options)
        hint = f", see {log}"
    else:
        done = subprocess.run(words, capture_output=True, text=True, **options)
        hint = ":\n" + (done.stderr or done.stdout or "")[-2000:]
    if done.returncode:
        raise LabError(f"{words[0]} failed with status {done.returncode}{hint}")
    return done.stdout or ""


def describe(kind: str, name: str) -> dict[str, Any]:
    """Returns the description KIND/NAME.toml."""
    path = LAB / kind / f"{name}.toml"
    if not path.exists():
        raise LabError(
            f"there is no {path.name} in scripts/lab/{kind}: one of {', '.join(names(kind))}"
        )
    return tomllib.loads(path.read_text())


def zstandard() -> Any:
    """Returns the library that packs and unpacks; only the project's own Python has it."""
    try:
        return import_module("zstandard")
    except ImportError:
        raise LabError("zstandard is missing: run the lab with the project's own Python") from None


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in (LAB / kind).glob("*.toml"))


def summary(kind: str, name: str) -> str:
    """Returns the first comment of a description: what it is for."""
    first = (LAB / kind / f"{name}.toml").read_text().splitlines()[0]
    return first.lstrip("# ")
