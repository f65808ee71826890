# SPDX-License-Identifier: LGPL-2.1-or-later
"""Things that the kernel tells of CPUs which come and go: it has a list of all of a kind.

Mirrors ``__cpuhp_state_add_instance()`` in ``kernel/cpu.c``.
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import Object, Program, offsetof, sizeof

_MOST = 5_000


def instances(prog: Program, state: str, type_: str, link: str) -> Iterator[Object]:
    """All things on the list of a state.

    :param state: ``CPUHP_BIO_DEAD``
    :param type_: ``struct bio_set``
    :param link: its member of ``struct hlist_node``
    :raises LookupError, FaultError: where the list, or what it is made of, cannot be read
    """
    steps = prog.symbol("cpuhp_hp_states").address
    number = int(prog.constant(state).value_())
    step = prog.type("struct cpuhp_step")
    node = Object(prog, step, address=steps + number * sizeof(step)).list.first.read_()
    thing = prog.type(type_)
    for _ in range(_MOST):
        if not node:
            return
        yield Object(prog, thing, address=node.value_() - offsetof(thing, link))
        node = node.next.read_()
