# SPDX-License-Identifier: LGPL-2.1-or-later
"""Renderers: each shows any document, and is a module with a function ``render``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from .model import Document

_MODULES = {"text": ".text", "markdown": ".markdown", "html": ".html.page"}


def _plain(text: str, **_: Any) -> str:
    return text


@dataclass(frozen=True)
class How:
    """Wishes of the reader; a renderer that cannot follow one ignores it."""

    exact: bool = False
    """Sizes in bytes."""
    width: int | None = None
    """Characters of a line; None is as many as it takes."""
    style: Callable[..., str] = _plain
    """Like :func:`click.style`."""
    wide: bool = False
    """All columns of tables, and all of their cells, however long lines are."""
    hint: str = ""
    """Way to see the columns that are left out, in words; empty: it is not told."""
    colour: bool = False
    """*style* does something; then shares are bars, too."""


PLAIN = How()
"""Without wishes."""


class Renderer(Protocol):
    """Shows a document."""

    def __call__(self, document: Document, how: How = ..., /) -> str: ...


def renderer(name: str) -> Renderer:
    """The renderer of a format; its module is imported only now."""
    render: Renderer = import_module(_MODULES[name], __package__).render
    return render
