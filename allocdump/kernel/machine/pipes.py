# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pipes, many at once: the pages that nobody has read.

Mirrors ``include/linux/pipe_fs_i.h`` and ``fs/pipe.c``.
"""

from __future__ import annotations

import numpy as np
from drgn import Program, offsetof, sizeof

from ...arrays import U64, Bool, Int, ranges, sum_by
from ...source.memory import Memory
from ..kernel import Kernel
from ..layouts import PipePages

PIPE_OPERATIONS = ("pipefifo_fops", "pipeanon_fops")
"""Operations of files whose ``private_data`` is a pipe. Linux kernel commit 23981c2c3068 ("pipe:
introduce struct file_operations pipeanon_fops") (in v6.15)."""

_COUNTED_ELSEWHERE = ("page_cache_pipe_buf_ops", "user_page_pipe_buf_ops")
"""Of pages that were spliced from files, and those of tasks."""

_MOST_SLOTS = 1 << 19
"""``round_pipe_size()`` in ``fs/pipe.c``: no more than 2 GiB."""
_ONE = np.uint64(1)


def pipe_bytes(kernel: Kernel, pipes: U64) -> tuple[Int, Bool]:
    """Bytes in pages of each pipe, a page that is in several once, and whether it was read.

    A page is what ``anon_pipe_write()`` takes, one of order 0; larger ones that come from
    elsewhere count as that.

    :param pipes: addresses of ``struct pipe_inode_info``, shape (n,)
    """
    row, pages, ok = _in_ring(kernel.memory, pipes)
    kept_row, kept = _kept(kernel, pipes[ok])
    row, pages = np.concatenate([row, np.flatnonzero(ok)[kept_row]]), np.concatenate([pages, kept])
    _, first = np.unique(pages, return_index=True)
    return sum_by(row[first], np.full(len(first), kernel.page.bytes), len(pipes)), ok


def _in_ring(memory: Memory, pipes: U64) -> tuple[Int, U64, Bool]:
    """Row of the pipe and ``struct page`` of each buffer, and which pipes were read whole."""
    prog = memory.prog
    info, buffer = prog.type("struct pipe_inode_info"), prog.type("struct pipe_buffer")
    ok = np.ones(len(pipes), np.bool_)

    def number(name: str) -> U64:
        found, read = memory.u32(pipes + np.uint64(offsetof(info, name)))
        np.logical_and(ok, read, out=ok)
        return found.astype(np.uint64)

    head, tail, size = number("head"), number("tail"), number("ring_size")
    bufs, read = memory.words(pipes + np.uint64(offsetof(info, "bufs")))
    used = (head - tail) & np.uint64(0xFFFF_FFFF)
    ok &= read & (size != 0) & (size & (size - _ONE) == 0) & (size <= _MOST_SLOTS) & (used <= size)
    counts = np.where(ok, used, 0).astype(np.int64)
    row = np.repeat(np.arange(len(pipes)), counts)
    slot = tail[row] + ranges(counts).astype(np.uint64) & (size[row] - _ONE)
    at = np.asarray(bufs[row] + slot * np.uint64(sizeof(buffer)), np.uint64)
    pages, page_read = memory.words(at + np.uint64(offsetof(buffer, "page")))
    operations, ops_read = memory.words(at + np.uint64(offsetof(buffer, "ops")))
    ok[row[~(page_read & ops_read)]] = False
    own = ok[row] & (pages != 0) & ~np.isin(operations, _symbols(prog, _COUNTED_ELSEWHERE))
    return row[own], pages[own], ok


def _kept(kernel: Kernel, pipes: U64) -> tuple[Int, U64]:
    """Row of the pipe of each page that it keeps for the next writer, and the page."""
    memory, variant = kernel.memory, kernel.layouts[PipePages]
    info = kernel.prog.type("struct pipe_inode_info")
    if variant is PipePages.POOL:
        start, shape = offsetof(info, "prealloc.pages"), info.member("prealloc").type
        most = shape.member("pages").type.length or 0
        number, _ = memory.u32(pipes + np.uint64(offsetof(info, "prealloc.count")))
        counts = np.minimum(number.astype(np.int64), most)
    else:
        start = offsetof(info, "tmp_page")
        two = variant is PipePages.TWO
        most = (info.member("tmp_page").type.length or 0) if two else 1
        counts = np.full(len(pipes), most, np.int64)
    row = np.repeat(np.arange(len(pipes)), counts)
    pages, _ = memory.words(pipes[row] + (ranges(counts) * 8 + start).astype(np.uint64))
    return row[pages != 0], pages[pages != 0]


def _symbols(prog: Program, names: tuple[str, ...]) -> U64:
    return np.array([s.address for name in names for s in prog.symbols(name)], np.uint64)
