# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names of slab caches that were merged in one: it has the name of the first of them only.

Sysfs has all names: those of the others are links to its folder. Mirrors ``sysfs_slab_alias()``
in ``mm/slub.c``. A name stays there when its cache is destroyed while others live.
"""

from __future__ import annotations

from drgn import Object, Program, offsetof

from ...arch.known import plain
from ...text import printable
from ..walk import Walked, structure, tree_entries, walk

_LINKS = structure("the list of merged slab caches", "name of a slab cache", "names of slab caches")
_TYPE = 0xF
"""``KERNFS_TYPE_MASK``, a macro."""
_LONGEST = 256


def merged_names(prog: Program) -> Walked[tuple[int, str]]:
    """Address of a cache (``struct kmem_cache``) and a name of it, each name once; none of a
    kernel without sysfs.
    """
    try:
        kset = prog["slab_kset"]
        link = int(prog.constant("KERNFS_LINK").value_())
        inside = offsetof(prog.type("struct kmem_cache"), "kobj")
    except LookupError:
        return Walked([], [])

    def name(node: Object) -> tuple[int, str] | None:
        if node.flags.value_() & _TYPE != link:
            return None
        cache = plain(prog, node.symlink.target_kn.priv.value_()) - inside
        text = prog.read_c_string(node.name.value_(), max_size=_LONGEST)
        return cache, printable(text)

    return walk(
        prog,
        _LINKS,
        lambda: tree_entries("struct kernfs_node", kset.kobj.sd.dir.children.address_of_(), "rb"),
        name,
    )
