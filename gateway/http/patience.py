"""A limit on waiting that costs no timer per request: one sweep a second looks after all."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

SWEEP: Final = 1.0
"""Seconds between two looks; a wait ends that much late at most."""


class TooSlow(Exception):
    """What was waited for did not come in time."""


class Patience:
    """Waits for things, each for ``seconds`` at most; used on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._sweeps = int(seconds / SWEEP)
        self._now = 0
        self._sweeping = False
        self._since: dict[asyncio.Task[Any], int] = {}
        self._given_up: set[asyncio.Task[Any]] = set()

    async def wait(self, awaited: Awaitable[_T]) -> _T:
        """Return what is awaited; raise TooSlow where it takes too long."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be told to stop waiting")
        self._since[task] = self._now
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        try:
            return await awaited
        except asyncio.CancelledError:
            if task in self._given_up:
                task.uncancel()
                raise TooSlow from None
            raise
        finally:
            self._since.pop(task, None)
            self._given_up.discard(task)

    def _sweep(self) -> None:
        self._now += 1
        for task, since in self._since.items():
            if self._now - since > self._sweeps:
                self._given_up.add(task)
                task.cancel()
        self._sweeping = bool(self._since)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP, self._sweep)
