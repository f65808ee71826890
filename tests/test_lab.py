# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's descriptions name what there is, and architectures are one file's matter."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAB = ROOT / "scripts" / "lab"
sys.path.insert(0, str(LAB))

from steps import arch, crash, kernel, kernels, testdata, work  # noqa: E402

WORDS = re.compile(r"\b(x86|amd64|arm64|aarch64|bzImage|ttyS\d|ttyAMA\d|qemu-system-\w+)")


@pytest.mark.parametrize("name", work.names("kernels"))
def test_kernels(name: str) -> None:
    described = kernels.load(name)
    built = described if isinstance(described, kernel.Kernel) else described.crash_kernel()
    assert built.arch in arch.KNOWN.values()
    for config in [built.arch.name, *built.configs]:
        assert (LAB / "configs" / f"{config}.config").exists(), config


@pytest.mark.parametrize("entry", testdata.entries(), ids=lambda entry: entry.folder)
def test_dumps_to_commit(entry: testdata.Entry) -> None:
    kernels.load(entry.kernel)
    scenario = crash.load(entry.scenario)
    assert scenario.path.exists()
    assert {*entry.thin, *entry.pack} <= {dump["name"] for dump in scenario.dumps}


def test_architectures_are_told_in_one_file() -> None:
    found = {
        path.name: words
        for path in sorted((LAB / "steps").glob("*.py"))
        if (words := WORDS.findall(path.read_text()))
    }
    assert set(found) == {"arch.py"}, found


def test_unknown_architecture() -> None:
    with pytest.raises(work.LabError, match="does not know the architecture vax: one of x86_64"):
        arch.load("vax")
