# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups that a call site belongs to by its names alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..kernel.tags.sites import UNKNOWN

GroupBy = Literal["site", "function", "file", "directory", "module"]

BUILT_IN = "(built-in)"
"""Stands for the kernel itself among modules."""


def directory(file: str, module: str) -> str:
    """The directory of a source file; that of out-of-tree modules often means nothing."""
    head = file.rpartition("/")[0]
    return head or (f"[{module}]" if module else UNKNOWN if file == UNKNOWN else ".")


def group_name(by: GroupBy, file: str, function: str, module: str) -> str:
    """The name of the group of a site. Functions of one name in two files are kept apart.

    :raises KeyError: for *by* ``site``, which is no group
    """
    return _KEYS[by](file, function, module)


_KEYS: dict[str, Callable[[str, str, str], str]] = {
    "function": lambda file, function, module: f"{function} ({file})",
    "file": lambda file, function, module: file,
    "directory": lambda file, function, module: directory(file, module),
    "module": lambda file, function, module: module or BUILT_IN,
}
