# SPDX-License-Identifier: LGPL-2.1-or-later
"""Open files of processes, and the memory that pipes and sockets among them hold.

No slab and no page table tells whose that memory is: pages in a pipe, and packets that were
sent, but not received. Mirrors ``struct files_struct`` in ``include/linux/fdtable.h`` and
``struct file`` in ``include/linux/fs.h``. A file that several processes have open counts for
the first one; what is only on its way between processes (``SCM_RIGHTS``) is no one's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from drgn import Object, Program, offsetof

from ...arrays import U64, Bool, Columns, Int, sum_by
from ...problems import Problem
from ...source.memory import Memory
from ...text import printable
from ..kernel import Kernel
from ..walk import Structure, structure, walk
from .pipes import PIPE_OPERATIONS, pipe_bytes
from .sockets import SOCKET_OPERATIONS, socket_bytes, socket_protocols, socks
from .tasks import thread_leaders, threads_of

_TABLES = structure(
    "tables of open files", "table of open files", "tables of open files", many=True
)
_FILES = structure("open files", "open file", many=True)
_PIPES = structure("pipes", "pipe", many=True, affects="pipes hold more than is told")
_SOCKETS = structure("sockets", "socket", many=True, affects="sockets hold more than is told")
_MOST_SLOTS = 1 << 24
"""A larger table cannot be: it would take 128 MiB."""
_WORD = 8
_ENDINGS = ("_file_operations", "_file_ops", "_operations", "_fops", "_ops")


@dataclass(frozen=True)
class OpenFiles:
    """Files that a process has open; sizes in bytes."""

    pid: int
    """Of the thread group."""
    comm: str
    files: int
    kinds: dict[str, int]
    """Number of each kind, most first: ``socket``; the name of their operations says it."""
    pipes: int
    """Pipes, each with both its ends."""
    pipe_bytes: int
    """In pages that nobody has read."""
    sockets: int
    socket_bytes: int
    """In packets not sent, or not received."""
    protocols: dict[str, int] = field(default_factory=dict)
    """Number of sockets of each protocol, most first: ``UNIX-STREAM``."""

    @property
    def bytes(self) -> int:
        """In pipes and sockets."""
        return self.pipe_bytes + self.socket_bytes


@dataclass
class Parts(Columns):
    """Objects that make up open files: each ``struct file``, what it is a file of, and of sockets
    what they are for their protocol, too. Columns of shape (n,)."""

    pid: Int
    """Of the thread group that has it open."""
    kind: npt.NDArray[np.object_]
    address: U64
    is_file: Bool
    """Marks each ``struct file``."""

    @classmethod
    def of(cls, pid: Int, kind: npt.NDArray[np.object_], address: U64, files: int = 0) -> Parts:
        """Those that have an address; the first *files* are each a ``struct file``."""
        is_file = np.arange(len(pid)) < files
        return cls(pid, kind, address, is_file).take(address != 0)


_NO_PARTS = Parts.of(np.zeros(0, np.int64), np.zeros(0, np.object_), np.zeros(0, np.uint64))


@dataclass
class AllOpenFiles:
    """Of all processes that have any, most memory first, as far as could be read."""

    files: list[OpenFiles] = field(default_factory=list)
    parts: Parts = field(default_factory=lambda: _NO_PARTS)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class _Table:
    """The table of a process's files."""

    pid: int
    comm: str
    slots: int
    fd: int
    """Address of its first slot."""


def open_files(kernel: Kernel) -> AllOpenFiles:
    """Read the open files of all processes."""
    prog, memory = kernel.prog, kernel.memory
    found = thread_leaders(prog)
    tables = walk(prog, _TABLES, lambda: found, _table)
    problems = [*found.problems, *tables.problems]
    owner, files = _files(memory, tables.found, problems)
    count = len(tables.found)
    operations, ok = _member(memory, files, "f_op")
    private, private_ok = _member(memory, files, "private_data")
    ok &= private_ok
    _report(prog, _FILES, len(files) - int(np.count_nonzero(ok)), problems)
    owner, operations, private = owner[ok], operations[ok], private[ok]
    distinct, kind = np.unique(operations, return_inverse=True)
    names = np.array([_kind(prog, address) for address in distinct.tolist()], np.object_)
    kinds = _kinds(owner, kind.ravel(), names)

    def held(
        names: tuple[str, ...], what: Structure, read: Callable[[Kernel, U64], tuple[Int, Bool]]
    ) -> tuple[Int, Int, U64, Int]:
        """Number and bytes of what files with some operations are, by owner; their addresses, and
        the owner of each."""
        rows = np.isin(operations, _addresses(prog, names))
        things, first = np.unique(private[rows], return_index=True)
        sizes, whole = read(kernel, things)
        _report(prog, what, len(things) - int(np.count_nonzero(whole)), problems)
        owners = owner[rows][first]
        return np.bincount(owners, minlength=count), sum_by(owners, sizes, count), things, owners

    pipes, in_pipes, _, _ = held(PIPE_OPERATIONS, _PIPES, pipe_bytes)
    sockets, in_sockets, each, owners = held(SOCKET_OPERATIONS, _SOCKETS, socket_bytes)
    protocols: dict[int, Counter[str]] = {}
    for row, protocol in zip(owners.tolist(), socket_protocols(kernel, each), strict=True):
        protocols.setdefault(row, Counter())[protocol] += 1
    out = [
        OpenFiles(
            table.pid, table.comm, sum(kinds[i].values()), kinds[i],
            int(pipes[i]), int(in_pipes[i]), int(sockets[i]), int(in_sockets[i]),
            dict(protocols.get(i, Counter()).most_common()),
        )
        for i, table in enumerate(tables)
        if kinds.get(i)
    ]  # fmt: skip
    out.sort(key=lambda one: (-one.bytes, -one.files))
    pid = np.array([table.pid for table in tables], np.int64)
    parts = [(owner, kind.ravel(), files[ok]), (owner, kind.ravel(), private)]
    is_socket = np.isin(operations, _addresses(prog, SOCKET_OPERATIONS))
    parts.append((owner[is_socket], kind.ravel()[is_socket], socks(kernel, private[is_socket])))
    row, which, address = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    address = kernel.arch.untag(address)
    all_parts = Parts.of(pid[row], names[which], address, int(np.count_nonzero(ok)))
    return AllOpenFiles(out, all_parts, problems)


def _table(leader: Object) -> _Table | None:
    """The table of a process; None if it has no files any more."""
    files: Object | None = leader.files.read_()
    if not files:
        # The leader has exited, others may live.
        files = next((f for t in threads_of(leader) if (f := t.files.read_())), None)
        if not files:
            return None
    table = files.fdt[0].read_()
    slots = table.max_fds.value_()
    if slots > _MOST_SLOTS:
        raise ValueError(f"a table of {slots} files cannot be")
    return _Table(leader.tgid.value_(), printable(leader.comm.string_()), slots, table.fd.value_())


def _files(memory: Memory, tables: list[_Table], problems: list[Problem]) -> tuple[Int, U64]:
    """Addresses of all open files, each once, ascending, and the first table that has each."""
    owners, found, broken = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], 0
    for row, table in enumerate(tables):
        data, ok = memory.read(table.fd, table.slots * _WORD)
        files = data.view(np.uint64)
        broken += not ok.all()
        files = files[files != 0]
        found.append(files)
        owners.append(np.full(len(files), row, np.int64))
    _report(memory.prog, _TABLES, broken, problems)
    files, first = np.unique(np.concatenate(found), return_index=True)
    return np.concatenate(owners)[first], files


def _member(memory: Memory, files: U64, name: str) -> tuple[U64, Bool]:
    offset = offsetof(memory.prog.type("struct file"), name)
    return memory.words(files + np.uint64(offset))


def _kinds(
    owner: Int, kind: npt.NDArray[np.intp], names: npt.NDArray[np.object_]
) -> dict[int, dict[str, int]]:
    """Number of files of each kind, most first, of each owner."""
    pairs, counts = np.unique(owner * len(names) + kind, return_counts=True)
    out: dict[int, dict[str, int]] = {}
    for i in np.argsort(-counts, kind="stable").tolist():
        row, which = divmod(int(pairs[i]), len(names))
        name = names[which]
        of_row = out.setdefault(row, {})
        of_row[name] = of_row.get(name, 0) + int(counts[i])
    return out


def _kind(prog: Program, operations: int) -> str:
    try:
        return file_kind(str(prog.symbol(operations).name))
    except LookupError:
        return "?"


def file_kind(name: str) -> str:
    """Kind of a file, by the name of its operations: ``eventpoll`` for ``eventpoll_fops``."""
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending) or name


def _addresses(prog: Program, names: tuple[str, ...]) -> U64:
    found = [symbol.address for name in names for symbol in prog.symbols(name)]
    return np.array(found, np.uint64)


def _report(prog: Program, what: Structure, count: int, problems: list[Problem]) -> None:
    if count:
        problems.append(what.unreadable(count))
