# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sessions in the README are real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SESSIONS = re.findall(
    r"^```console\n\$ (.*)\n([^`]*)^```", (ROOT / "README.md").read_text(), re.MULTILINE
)


def test_there_are_sessions():
    assert len(SESSIONS) >= 3


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=[c for c, _ in SESSIONS])
def test_session(command, output):
    command = command.replace("allocdump ", f"{sys.executable} -m allocdump ", 1)
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == output
