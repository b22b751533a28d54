"""A clock that ticks five times a millisecond; an event loop's own timers go by the millisecond."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

TICK: Final = 0.0002
"""Seconds from one tick to the next."""

_COARSE: Final = 0.001
"""The same where the system has no timerfd."""

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK: Final = 0o4000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Interval(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


@contextmanager
def ticking(call: Callable[[], None]) -> Iterator[None]:
    """Call on each tick within the block; a late tick makes up for those before it."""
    loop = asyncio.get_running_loop()
    if sys.platform != "linux":
        with _coarse(loop, call):
            yield
        return
    timer = _timerfd()

    def tick() -> None:
        os.read(timer, 8)
        call()

    loop.add_reader(timer, tick)
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _timerfd() -> int:
    # Python itself has it from 3.13 on.
    library = ctypes.CDLL(None, use_errno=True)
    timer: int = library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
    each = _Timespec(0, round(TICK * 1e9))
    if timer < 0 or library.timerfd_settime(timer, 0, ctypes.byref(_Interval(each, each)), None):
        raise OSError(ctypes.get_errno(), "no timerfd")
    return timer


@contextmanager
def _coarse(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Iterator[None]:
    handle: asyncio.TimerHandle

    def tick() -> None:
        nonlocal handle
        handle = loop.call_later(_COARSE, tick)
        call()

    handle = loop.call_later(_COARSE, tick)
    try:
        yield
    finally:
        handle.cancel()
