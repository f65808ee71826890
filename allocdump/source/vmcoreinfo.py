# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMCOREINFO: what the kernel tells those who read its dump.

Mirrors ``kernel/vmcore_info.c`` and ``include/linux/vmcore_info.h``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..text import printable

_LINE = re.compile(r"^(?:([A-Z]+)\(([^()\n]*)\)|([^=()\n]+))=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class VmcoreInfo:
    """The note, parsed: ``KIND(name)=value`` lines by kind and name, others by name."""

    values: dict[tuple[str, str], str]

    @classmethod
    def parse(cls, raw: bytes) -> VmcoreInfo:
        """Parse the note; of several lines of one name, the first counts."""
        values: dict[tuple[str, str], str] = {}
        for found in _LINE.finditer(raw.decode("utf-8", "replace")):
            key = (found[1], found[2]) if found[1] else ("", found[3])
            values.setdefault(key, found[4])
        return cls(values)

    def text(self, name: str) -> str:
        """A plain line's value, made printable; empty if there is none: ``OSRELEASE``."""
        return printable(self.values.get(("", name), "").encode())

    def number(self, name: str, kind: str = "NUMBER") -> int:
        """The value of ``NUMBER(name)``, or of another *kind*: ``LENGTH``, ``SIZE``.

        :raises LookupError: if there is none
        """
        value = self.values.get((kind, name), "")
        if not re.fullmatch(r"-?[0-9]+|0x[0-9a-f]+", value):
            raise LookupError(f"VMCOREINFO has no {kind}({name})")
        return int(value, 16 if value.startswith("0x") else 10)

    def flag(self, name: str) -> bool:
        """Tell if ``NUMBER(name)`` is there and not zero."""
        return self.values.get(("NUMBER", name), "0") != "0"

    def symbol(self, name: str) -> int | None:
        """The address in ``SYMBOL(name)``; None if there is none."""
        value = self.values.get(("SYMBOL", name), "")
        return int(value, 16) if re.fullmatch(r"[0-9a-fA-F]{1,16}", value) else None

    @property
    def build_id(self) -> str:
        """Of the kernel, in lower-case hexadecimal digits; empty if the note has none."""
        value = self.values.get(("", "BUILD-ID"), "").lower()
        return value if re.fullmatch(r"[0-9a-f]+", value) else ""
