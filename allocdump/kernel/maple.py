# SPDX-License-Identifier: LGPL-2.1-or-later
"""Maple trees, each node at most once.

Mirrors ``lib/maple_tree.c``. drgn's ``mt_for_each()`` never ends where a node is below itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import Object

from .walk import Cut, is_damage

_NODE_MASK = 0xFF
_TYPE_SHIFT, _TYPE_MASK = 3, 0xF
_LEAF, _RANGE, _ARANGE = 1, 2, 3
"""``enum maple_type``"""
_XA_INTERNAL, _XA_KINDS, _XA_SMALLEST_NODE = 2, 3, 4096
_XA_ZERO = 257 << 2 | _XA_INTERNAL
_LAST = (1 << 64) - 1

Range = tuple[int, int, Object]
"""First and last index, and what is stored there: ``void *``."""


def maple_entries(tree: Object) -> Iterator[Range | Cut]:
    """Entries of a maple tree, in no order; a node that cannot be read costs what is below it.

    :param tree: ``struct maple_tree *``
    """
    root = tree.ma_root.read_()
    if not _is_node(root.value_()):
        if root:
            yield 0, 0, root
        return
    todo, seen = [(root.value_(), 0, _LAST)], set[int]()
    while todo:
        encoded, first, last = todo.pop()
        address = encoded & ~_NODE_MASK
        kind = encoded >> _TYPE_SHIFT & _TYPE_MASK
        try:
            if address in seen:
                raise ValueError("it goes in circles")
            seen.add(address)
            children = _children(Object(tree.prog_, "struct maple_node *", address), kind, last)
        except Exception as e:
            if not is_damage(e):
                raise
            yield Cut(e)
            continue
        for end, slot in children:
            if kind != _LEAF:
                todo.append((slot.value_(), first, end))
            elif slot and slot.value_() != _XA_ZERO:
                yield first, end, slot
            first = end + 1


def _is_node(entry: int) -> bool:
    return entry & _XA_KINDS == _XA_INTERNAL and entry > _XA_SMALLEST_NODE


def _children(node: Object, kind: int, last: int) -> list[tuple[int, Object]]:
    """Last index and content of each slot in use: ``ma_data_end()``.

    :raises ValueError: for a kind of node that is unknown
    """
    if kind not in (_LEAF, _RANGE, _ARANGE):
        raise ValueError(f"it has a node of the unknown kind {kind}")
    of_kind = (node.ma64 if kind == _ARANGE else node.mr64).read_()
    pivots = [pivot.value_() for pivot in of_kind.pivot]
    if kind == _ARANGE or not pivots[-1]:
        used = of_kind.meta.end.value_()
    else:
        used = len(pivots) - (pivots[-1] == last)
    if used > len(pivots):
        raise ValueError(f"it has a node with {used} entries")
    return [(end, of_kind.slot[i].read_()) for i, end in enumerate([*pivots[:used], last])]
