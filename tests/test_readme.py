# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sessions in the README are real."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"^```console\n\$ (.*)\n([^`]*)^```", TEXT, re.MULTILINE)
PYTHON = re.findall(r"^```pycon\n([^`]*)^```", TEXT, re.MULTILINE)


def test_there_are_sessions():
    assert len(CONSOLE) >= 3
    assert len(PYTHON) >= 1
    assert any(">>> " in output for _, output in CONSOLE)


@pytest.mark.parametrize(("command", "output"), CONSOLE, ids=[c for c, _ in CONSOLE])
def test_session(command, output, tmp_path):
    command = command.replace("allocdump ", f"{sys.executable} -m allocdump ", 1)
    # What is typed in, where the command asks; it is not shown when it comes from a pipe.
    typed = re.findall(r"^>>> (.*\n)", output, re.MULTILINE)
    if typed:
        command += " 2>&1"
        output = re.sub(r"^>>> .*\n", ">>> ", output, flags=re.MULTILINE) + ">>> \n"
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        input="".join(typed),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "XDG_STATE_HOME": str(tmp_path)},
    )
    assert done.stdout == output


@pytest.mark.parametrize("text", PYTHON)
def test_python_session(text, monkeypatch):
    monkeypatch.chdir(ROOT)
    test = doctest.DocTestParser().get_doctest(text, {}, "README", "README.md", 0)
    output = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=output.append)
    assert result.failed == 0, "".join(output)
