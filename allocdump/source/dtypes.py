# SPDX-License-Identifier: LGPL-2.1-or-later
"""numpy dtypes derived from the kernel's own types."""

from __future__ import annotations

import numpy as np
from drgn import Type, TypeKind, offsetof, sizeof


def dtype_of(type_: Type, members: dict[str, str]) -> np.dtype[np.void]:
    """A structured dtype that views an array of *type_*.

    :param type_: a structure type
    :param members: the integer, boolean, enumerated and pointer members wanted:
        ``{field: "member.path"}``
    :return: dtype with those fields at the kernel's offsets, as large as *type_*
    :raises LookupError: if the type has no such member
    """
    return np.dtype(
        {
            "names": list(members),
            "formats": [_format(_member(type_, path)) for path in members.values()],
            "offsets": [offsetof(type_, path) for path in members.values()],
            "itemsize": sizeof(type_),
        }
    )


def _plain(type_: Type) -> Type:
    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def _member(type_: Type, path: str) -> Type:
    for name in path.split("."):
        type_ = _plain(_plain(type_).member(name).type)
    return type_


def _format(type_: Type) -> str:
    if type_.kind == TypeKind.ENUM and type_.type is not None:
        type_ = _plain(type_.type)
    signed = type_.kind == TypeKind.INT and type_.is_signed
    if type_.kind not in (TypeKind.INT, TypeKind.BOOL, TypeKind.POINTER):
        raise LookupError(f"{type_.type_name()} has no numpy format")
    order = "<" if type_.byteorder == "little" else ">"
    return f"{order}{'i' if signed else 'u'}{sizeof(type_)}"
