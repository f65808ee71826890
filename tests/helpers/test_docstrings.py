# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sessions in the helpers' docstrings are real: of Linux 7.2, as `allocdump shell` shows it."""

from __future__ import annotations

import doctest
import inspect
import sys
from collections import Counter
from types import ModuleType

import drgn
import numpy as np
import pytest
from drgn.cli import _displayhook, default_globals

from allocdump.drgn import helpers
from allocdump.drgn.helpers import alloc_tag, arrays

from ..dumpdata import core, open_core

FUNCTIONS = [
    (module, name)
    for module in (alloc_tag, arrays)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
]


@pytest.mark.parametrize(("module", "name"), FUNCTIONS, ids=[name for _, name in FUNCTIONS])
def test_session(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prog = open_core(core("7.2-quiet")).prog
    known = default_globals(prog) | {each: getattr(helpers, each) for each in helpers.__all__}
    known |= {"np": np, "Counter": Counter}
    # doctest shows values with this.
    monkeypatch.setattr(sys, "__displayhook__", _displayhook)
    monkeypatch.delenv("COLUMNS", raising=False)
    text = inspect.getdoc(getattr(module, name))
    assert text is not None
    test = doctest.DocTestParser().get_doctest(text, known, name, None, 0)
    assert test.examples
    drgn.set_default_prog(prog)
    output: list[str] = []
    try:
        result = doctest.DocTestRunner(verbose=False).run(test, out=output.append)
    finally:
        drgn.set_default_prog(None)
    assert result.failed == 0, "".join(output)
