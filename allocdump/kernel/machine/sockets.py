# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sockets, many at once: the memory of packets that the kernel charges to each.

Mirrors ``struct sock`` in ``include/net/sock.h``. Packets on Unix sockets are the sender's until
they are received: ``sock_alloc_send_pskb()`` in ``net/core/sock.c``.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from drgn import FaultError, offsetof

from ...arrays import U64, Bool, Int
from ...text import printable
from ..kernel import Kernel

SOCKET_OPERATIONS = ("socket_file_ops",)
"""Operations of files whose ``private_data`` is a ``struct socket``."""

_BIAS = 1
"""SK_WMEM_ALLOC_BIAS: what ``sk_wmem_alloc`` of a socket without packets is."""


def socks(kernel: Kernel, sockets: U64) -> U64:
    """The ``struct sock`` of each socket; 0 for none, and where it is unreadable.

    :param sockets: addresses of ``struct socket``, shape (n,)
    """
    offset = np.uint64(offsetof(kernel.prog.type("struct socket"), "sk"))
    at, ok = kernel.memory.words(sockets + offset)
    return np.where(ok, at, 0).astype(np.uint64)


def socket_protocols(kernel: Kernel, sockets: U64) -> list[str]:
    """Name of each socket's protocol, as in /proc/net/protocols: ``UNIX-STREAM``, ``TCP``; ``?``
    where it is unreadable.

    :param sockets: addresses of ``struct socket``, shape (n,)
    """
    prog, memory = kernel.prog, kernel.memory
    at = socks(kernel, sockets)
    offset = offsetof(prog.type("struct sock"), "__sk_common.skc_prot")
    found, read = memory.words(at + np.uint64(offset))
    protocols = np.where(read & (at != 0), found, 0)
    start = offsetof(prog.type("struct proto"), "name")
    names = {int(p): "?" for p in np.unique(protocols)}
    for address in names:
        if address:
            with suppress(FaultError):
                names[address] = printable(prog.read_c_string(address + start, max_size=32)) or "?"
    return [names[int(p)] for p in protocols]


def socket_bytes(kernel: Kernel, sockets: U64) -> tuple[Int, Bool]:
    """Bytes received, and not yet sent, of each socket, and whether it was read.

    :param sockets: addresses of ``struct socket``, shape (n,)
    """
    prog, memory = kernel.prog, kernel.memory
    sock = prog.type("struct sock")
    at, ok = memory.words(sockets + np.uint64(offsetof(prog.type("struct socket"), "sk")))
    out = np.zeros(len(sockets), np.int64)
    rows = np.flatnonzero(ok & (at != 0))

    def number(name: str) -> Int:
        found, read = memory.u32(at[rows] + np.uint64(offsetof(sock, name)))
        ok[rows[~read]] = False
        return np.maximum(found.view(np.int32).astype(np.int64), 0)

    # TCP queues packets, and charges copies of them on their way: one memory, two counts.
    sent = np.maximum(number("sk_wmem_alloc") - _BIAS, number("sk_wmem_queued"))
    # sk_rmem_alloc is a macro for this.
    received = number("sk_backlog.rmem_alloc") + number("sk_backlog.len")
    out[rows] = np.where(ok[rows], np.maximum(sent, 0) + received, 0)
    return out, ok
