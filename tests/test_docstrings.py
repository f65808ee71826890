# SPDX-License-Identifier: LGPL-2.1-or-later
"""Docstrings begin with a summary: a noun for data, a verb for an action."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import allocdump

PACKAGE = Path(allocdump.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

RIDDLE = re.compile(
    r"(What|Which|Who|Whom|Whose|Where|When|Why|How|Whether|Is|Are|Does|Do|Did|Can|Has)\b"
)
"""Opens a question, or a clause that stands for a noun."""


def docstrings(body: list[ast.stmt], name: str = "") -> Iterator[tuple[int, str, str]]:
    """Line, name and text of all docstrings in a block: of modules, classes, functions and data."""
    before: ast.stmt | None = None
    for statement in body:
        match statement:
            case ast.Expr(ast.Constant(str(text))) if before is None:
                yield statement.lineno, name, text
            case ast.Expr(ast.Constant(str(text))):
                if isinstance(before, (ast.Assign, ast.AnnAssign)):
                    target = before.targets[0] if isinstance(before, ast.Assign) else before.target
                    yield statement.lineno, f"{name}.{ast.unparse(target)}", text
            case ast.ClassDef() | ast.FunctionDef():
                yield from docstrings(statement.body, f"{name}.{statement.name}")
        before = statement


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_public_docstring_opens_with_a_riddle(module: Path) -> None:
    riddles = [
        f"{module.relative_to(PACKAGE)}:{line}: {text.strip().splitlines()[0]}"
        for line, name, text in docstrings(ast.parse(module.read_text()).body)
        if RIDDLE.match(text.strip()) and not re.search(r"\._(?!_)", name)
    ]
    assert not riddles
