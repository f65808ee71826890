"""Tasks that make the kernel hold one kind of thing each, and then sleep: holder.py KIND..."""

import array
import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
BPF, ADD_KEY, IO_URING_SETUP, IO_URING_ENTER, USERFAULTFD = 321, 248, 425, 426, 323
MAP_CREATE, UPDATE, LOAD = 0, 2, 5
HASH, ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU = 1, 2, 5, 6, 9
LPM, QUEUE, RING, BLOOM, ARENA = 11, 22, 27, 30, 33
NO_PREALLOC, MMAPABLE = 1, 1 << 10
held: list[object] = []
"""What may not be collected: closed files hold nothing."""


def call(number: int, *words: object) -> int:
    """A system call; a kernel without it is no reason to stop."""
    result = libc.syscall(number, *words)
    if result < 0:
        print(f"holder: call {number}: {errno.errorcode[ctypes.get_errno()]}", flush=True)
    return int(result)


def bpf(command: int, attributes: bytes) -> int:
    data = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    return call(BPF, command, data, 128)


def bpf_map(kind: int, key: int, value: int, entries: int, flags: int = 0) -> int:
    return bpf(MAP_CREATE, struct.pack("=5I", kind, key, value, entries, flags))


def address(value: object) -> int:
    return ctypes.addressof(value)  # type: ignore[arg-type]


def bpf_put(table: int, key: bytes, size: int) -> None:
    name, value = ctypes.create_string_buffer(key), ctypes.create_string_buffer(size)
    bpf(UPDATE, struct.pack("=IxxxxQQQ", table, address(name), address(value), 0))


def shared(file: int, size: int, offset: int = 0) -> mmap.mmap:
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    memory = mmap.mmap(file, size, mmap.MAP_SHARED, protection, offset=offset)
    held.append(memory)
    return memory


def hold_bpf() -> None:
    table = bpf_map(HASH, 8, 200, 2000, NO_PREALLOC)
    trie = bpf_map(LPM, 8, 64, 2000, NO_PREALLOC)
    for number in range(500):
        bpf_put(table, struct.pack("=Q", number), 200)
        bpf_put(trie, struct.pack("=I4s", 32, number.to_bytes(4, "big")), 64)
    for kind, key, size in (
        (HASH, 8, 100),
        (ARRAY, 4, 64),
        (LRU, 8, 64),
        (QUEUE, 0, 64),
        (BLOOM, 0, 8),
    ):
        bpf_map(kind, key, size, 500)
    for kind, key in (PERCPU_HASH, 8), (PERCPU_ARRAY, 4):
        bpf_map(kind, key, 64, 100)
    shared(bpf_map(RING, 0, 0, 1 << 18), 4096)
    arena = bpf_map(ARENA, 0, 0, 64, MMAPABLE)
    if arena >= 0:
        pages = shared(arena, 64 * 4096)
        for number in range(40):
            pages[4096 * number] = 1
    # r0 = 0; exit
    code = ctypes.create_string_buffer(struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0))
    gpl = ctypes.create_string_buffer(b"GPL")
    for _ in range(20):
        program = bpf(LOAD, struct.pack("=IIQQ", 1, 2, address(code), address(gpl)))
        filtered = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        filtered.setsockopt(socket.SOL_SOCKET, 50, program)
        held.append(filtered)


def hold_pipes() -> None:
    for _ in range(40):
        ends = os.pipe2(os.O_NONBLOCK)
        try:
            while True:
                os.write(ends[1], b"all work and no play".ljust(4096))
        except BlockingIOError:
            pass


def hold_unix() -> None:
    """Sockets with data, and with a file in flight that nothing else holds."""
    for _ in range(60):
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        one.send(b"x" * 5000)
        file = os.open("/", os.O_RDONLY)
        one.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
        os.close(file)
        held.append((one, other))


def hold_tcp() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    held.append(listener)
    for number in range(40):
        one = socket.create_connection(listener.getsockname())
        one.setblocking(False)
        if number % 2:
            held.append(listener.accept())
        if number % 4 == 1:
            one.send(b"y" * 50000)
        held.append(one)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    for _ in range(100):
        receiver.sendto(b"z" * 500, receiver.getsockname())
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    packet.setsockopt(263, 5, struct.pack("=4I", 1 << 16, 4, 2048, 128))
    held.append((receiver, packet))


def hold_watches() -> None:
    for _ in range(10):
        watch = select.epoll()
        for _ in range(30):
            watch.register(os.eventfd(0), select.EPOLLIN)
        held.append(watch)
    inotify = libc.inotify_init()
    for path in b"/etc", b"/tmp", b"/usr/bin":
        libc.inotify_add_watch(inotify, path, 0xFFF)
    for name in range(20):
        call(ADD_KEY, b"user", b"lab:%d" % name, b"secret" * 20, 120, -3)


def hold_memory() -> None:
    """Merged, huge, shared and anonymous memory."""
    same = mmap.mmap(-1, 2 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    same.madvise(mmap.MADV_MERGEABLE)
    same.write(b"\7" * (2 << 20))
    large = mmap.mmap(-1, 8 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    large.madvise(mmap.MADV_HUGEPAGE)
    for offset in range(0, 8 << 20, 4096):
        large[offset] = 1
    held.append((same, large))
    try:
        reserved = mmap.mmap(-1, 4 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
        reserved[0] = reserved[2 << 20] = 1
        held.append(reserved)
    except OSError as error:
        print(f"holder: huge pages: {error}", flush=True)
    file = os.memfd_create("lab")
    os.write(file, b"m" * (1 << 20))
    call(USERFAULTFD, os.O_NONBLOCK)


def hold_requests() -> None:
    """io_uring with requests that wait: reads of an event that never comes."""
    sizes = ctypes.create_string_buffer(120)
    ring = call(IO_URING_SETUP, 32, sizes)
    if ring < 0:
        return
    offsets = struct.unpack_from("=10I", sizes, 40)
    head, entries = shared(ring, offsets[6] + 32 * 4), shared(ring, 32 * 64, 0x10000000)
    buffer = ctypes.create_string_buffer(8)
    for number in range(16):
        # IORING_OP_READ
        read = 22, 0, 0, os.eventfd(0), 0, address(buffer), 8
        struct.pack_into("=BBHiQQI", entries, 64 * number, *read)
        struct.pack_into("=I", head, offsets[6] + 4 * number, number)
    struct.pack_into("=I", head, offsets[1], 16)
    call(IO_URING_ENTER, ring, 16, 0, 0, None, 0)
    held.append(buffer)


def hold_rest() -> None:
    """A file lock, timers, and a child that ended and is not asked."""
    lock = os.open("/tmp/lab.lock", os.O_RDWR | os.O_CREAT)
    fcntl.lockf(lock, fcntl.LOCK_EX)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    held.append(subprocess.Popen(["true"]))
    time.sleep(1)


for kind in sys.argv[1:]:
    globals()[f"hold_{kind}"]()
print("holder: holds", *sys.argv[1:], flush=True)
while True:
    signal.pause()
