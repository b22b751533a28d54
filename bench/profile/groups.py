"""Which part of the work a sample belongs to: a table of files and functions.

Outside Linux the function that ran decides, whoever called it: the time that our kernels spend in
Python's functions counts as Python's. Within Linux nearly all functions serve many purposes, so
there the nearest one that is listed decides, from the one that ran outwards.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bench.profile.samples import UNKNOWN, Frame, Stack

OTHER: Final = "other"
LINUX_OTHER: Final = "Linux: other"


class _Rule(NamedTuple):
    """What belongs to a group: functions of some files. What matches none goes on to the next."""

    group: str
    file: re.Pattern[str]
    functions: tuple[str, ...] = ("",)
    """How their names begin, without leading underscores; all of them where nothing is given."""


KERNELS: Final = "our kernels"
"""Each compiled module of the gateway's is a group of its own: `our kernels: fields`."""

_OUR_MODULE: Final = re.compile(r"/gateway/(?:\w+/)*_*(?P<name>\w+?)(?:_c)?\.(?:[^/]*\.)?so$")

_PYTHON: Final = re.compile(r"/libpython3|/python3[^/]*$")
_ALLOCATORS: Final = re.compile(rf"{_PYTHON.pattern}|/libc[-.]|/ld-linux")

_RULES: Final = (
    _Rule("Granian (Rust)", re.compile(r"/_granian\.")),
    _Rule("event loop (uvloop, asyncio)", re.compile(r"/uvloop/|/_asyncio\.")),
    _Rule("AES (pycryptodome)", re.compile(r"/Crypto/")),
    _Rule(
        "digests (libcrypto, hashlib)",
        re.compile(r"/libcrypto[-.]|/_(hashlib|sha\w*|blake2|md5)\."),
    ),
    _Rule("msgspec", re.compile(r"/msgspec/")),
    _Rule("SQLite", re.compile(r"/libsqlite3\.|/_sqlite3\.")),
    _Rule("Redis client (hiredis)", re.compile(r"/hiredis/")),
    _Rule(
        "memory allocation",
        _ALLOCATORS,
        (
            *("malloc", "free", "calloc", "realloc", "cfree", "int_malloc", "int_free"),
            *("unlink_chunk", "sysmalloc", "systrim", "tcache_", "PyMem_", "pymalloc", "new_arena"),
            *("PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "PyObject_Free"),
            *("PyObject_GC_New", "PyObject_GC_Del", "PyObject_GC_Resize", "PyObject_New"),
            *("PyType_GenericAlloc", "PyType_AllocNoTrack", "gc_alloc", "address_in_range"),
        ),
    ),
    _Rule(
        "garbage collection",
        _PYTHON,
        (
            *("gc_collect", "deduce_unreachable", "update_refs", "subtract_refs", "visit_decref"),
            *("visit_reachable", "move_unreachable", "untrack_tuples", "delete_garbage"),
        ),
    ),
    _Rule("CPython interpreter", re.compile(rf"{_PYTHON.pattern}|/lib-dynload/")),
    _Rule("libc", re.compile(r"/(libc|libm|libpthread|libgcc_s|ld-linux[^/]*)[-.]|^\[vdso\]")),
)
"""The first that matches the function that ran."""

_LINUX: Final[Mapping[str, tuple[str, ...]]] = {
    "Linux: context switches and wake-ups": (
        *("schedule", "sched_", "try_to_wake_up", "wake_", "wakeup_", "default_wake", "ttwu_"),
        *("autoremove_wake", "ep_poll_callback", "ep_autoremove_wake", "futex", "do_futex"),
        *("sys_futex", "eventfd", "finish_task_switch", "switch_mm", "switch_to", "pick_next"),
        *("enqueue_", "dequeue_", "activate_task", "deactivate_task", "select_task", "set_next"),
        *("put_prev", "update_curr", "update_load_avg", "update_rq_clock", "prepare_task"),
        *("hrtimer", "resched", "check_preempt", "place_entity", "exit_to_user_mode_loop"),
    ),
    "Linux: epoll": ("ep_", "do_epoll", "sys_epoll", "eventpoll"),
    "Linux: memory": (
        *("exc_page_fault", "asm_exc_page_fault", "do_user_addr_fault", "handle_mm_fault"),
        *("sys_mmap", "sys_munmap", "sys_madvise", "sys_brk", "sys_mremap"),
    ),
    "Linux: files": (
        *("ext4_", "xfs_", "btrfs_", "ovl_", "shmem_", "jbd2_", "iomap_", "blk_", "submit_bio"),
        *("vfs_fsync", "do_fsync", "filemap_", "generic_file", "generic_perform"),
        *("sys_fsync", "sys_fdatasync", "sys_openat", "sys_pread64", "sys_pwrite64"),
    ),
    "Linux: network": (
        *("tcp_", "ip_", "inet_", "inet6_", "ipv4_", "sock_", "sk_", "skb_", "sys_sendto"),
        *("sys_recvfrom", "sys_sendmsg", "sys_recvmsg", "sys_accept", "sys_shutdown", "net_"),
        *("netif_", "dev_", "napi_", "loopback_", "nf_", "unix_", "validate_xmit", "lock_sock"),
        *("release_sock", "process_backlog", "neigh_", "dst_", "alloc_skb", "kfree_skb", "csum_"),
    ),
    "Linux: system calls, in and out": (
        *("do_syscall", "entry_SYSCALL", "syscall_", "vfs_", "ksys_", "rw_verify", "do_iter"),
        *("do_writev", "do_readv", "copy_iovec", "import_iovec", "fget", "fput", "fdget"),
    ),
}
"""Groups of functions by how their names begin, without leading underscores and what marks a system
call's processor. The group of the nearest function to the one that ran that has any."""

_ARCHITECTURE: Final = re.compile(r"^_*(x64|arm64|ia32|se|do)_sys_")


def group_of(stack: Stack) -> str:
    """Return the group that a sample belongs to."""
    ran = stack[0]
    if ran.in_linux:
        return next(_linux_groups(stack), LINUX_OTHER)
    if found := _OUR_MODULE.search(ran.object):
        return f"{KERNELS}: {found['name']}"
    name = ran.symbol.lstrip("_")
    for rule in _RULES:
        if rule.file.search(ran.object) and name.startswith(rule.functions):
            return rule.group
    return OTHER


def _linux_groups(stack: Stack) -> Iterator[str]:
    """Yield the groups of a stack's functions in Linux, the nearest to what ran first."""
    for frame in stack:
        if not frame.in_linux:
            return
        name = _ARCHITECTURE.sub("sys_", frame.symbol).lstrip("_")
        yield from (group for group, names in _LINUX.items() if name.startswith(names))


def name_of(frame: Frame) -> str:
    """Return what a function is shown as: with the name of its file where it has none."""
    if frame.symbol.startswith("["):
        known = frame.object != UNKNOWN
        return f"in {frame.object.rpartition('/')[2]}" if known else "in no known file"
    return _of_cython(_COMPILER.sub("", frame.symbol))


_COMPILER: Final = re.compile(r"(\.(isra|constprop|part|cold)\.?\d*)+$|@.*$")
"""What compiler and linker append to a name."""

_CYTHON: Final = re.compile(r"^__pyx_(?:f|pf|pw)_(?=\d)")


def _of_cython(symbol: str) -> str:
    """Return a function's own name where Cython made the symbol: the modules stand before it.

    Each part is its length and itself; the name's is a number of its own, or nothing.
    """
    begin = _CYTHON.match(symbol)
    if begin is None:
        return symbol
    rest = symbol[begin.end() :]
    while (part := re.match(r"(\d+)", rest)) and len(rest) > (size := int(part[1])) + part.end():
        if rest[part.end() + size] != "_":
            break
        rest = rest[part.end() + size + 1 :]
    return rest.lstrip("0123456789") or symbol
