"""Coroutines that begin at once, and get a task of their own only when they wait for something.

Most callbacks are answered without waiting for anything but the store's batch, and a task would
cost them more than their own work: its object, its place in the loop's set of tasks, and a turn of
the loop. Python 3.12 has eager tasks, which save the turn and still make the object; 3.11, the
oldest we run on, has none.

So there is a spare task. A coroutine's step runs in the spare's name: ``current_task()`` is the
spare, and a timeout or a task group made there holds on to it. Where the coroutine ends in that
step, the spare serves the next one. Where it waits, the spare is handed over to it for good and
goes on with it. What waits for a Parking is parked there and goes on as it began, in the name of
any spare; so nothing that holds on to its task may be open around it. Each coroutine has a context
of its own, as in a task.
"""

import asyncio
from asyncio import _enter_task, _leave_task  # for makers of tasks: docs, "Extending asyncio"
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from types import coroutine
from typing import Any, NamedTuple

from gateway.errors import place_of
from gateway.inbound.parking import Parking
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.callback")

Begun = Coroutine[Any, Any, None]


class _Rest(NamedTuple):
    """What is left of a coroutine."""

    begun: Begun
    context: Context
    waits_for: Any
    """What it yielded: a future, or None where it only lets others run."""


class _Spare:
    """A task that has nothing to do yet."""

    __slots__ = ("rest", "task", "wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.wanted: asyncio.Future[None] = loop.create_future()
        self.rest: _Rest | None = None
        self.task = loop.create_task(self._run())

    async def _run(self) -> None:
        cancelled = False
        try:
            await self.wanted
        except asyncio.CancelledError:
            # In the step that it lent its name to: what is waited for is cancelled then, as a task
            # has it.
            cancelled = True
        if self.rest is not None:
            begun, context, waits_for = self.rest
            if cancelled and (waits_for is None or not waits_for.cancel()):
                await _run(begun, context, asyncio.CancelledError())
            else:
                await _go_on(begun, context, waits_for)


class Eager:
    """Begins coroutines on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: _Spare | None = None
        self._renewing = False
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, begun: Begun, context: Context | None = None) -> None:
        """Run a coroutine as far as it goes without waiting; what it raises is logged.

        To be called by a callback of the loop, not within a task. It has a new context unless one
        is given.
        """
        if context is None:
            context = copy_context()
        spare = self._spare
        if spare is None or spare.wanted.done():
            self._hold(self._loop.create_task(_run(begun, context)))
            self._renew()
            return
        _enter_task(self._loop, spare.task)
        try:
            waits_for = context.run(begun.send, None)
        except StopIteration:
            return
        except Exception as error:
            _tell(error)
            return
        finally:
            _leave_task(self._loop, spare.task)
        if isinstance(waits_for, Parking):
            waits_for.park(partial(self.begin, begun, context))
        else:
            self._hand_over(spare, _Rest(begun, context, waits_for))

    def close(self) -> None:
        """Let the spare go; what waits still goes on."""
        if self._spare is not None and not self._spare.wanted.done():
            self._spare.wanted.set_result(None)

    def _hand_over(self, spare: _Spare, rest: _Rest) -> None:
        spare.rest = rest
        self._spare = None
        self._hold(spare.task)
        if not spare.wanted.done():
            spare.wanted.set_result(None)

    def _hold(self, task: asyncio.Task[None]) -> None:
        # A task that nothing holds may be collected while it runs.
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _tell(error)

    def _renew(self) -> None:
        if not self._renewing:
            self._renewing = True
            # Behind the new task's first step, for one that has not begun cannot catch anything.
            self._loop.call_soon(self._take, _Spare(self._loop))

    def _take(self, spare: _Spare) -> None:
        self._spare, self._renewing = spare, False


def _tell(error: BaseException) -> None:
    """Log what nobody caught, without a word of what it says."""
    _log.error("callback failed", error=type(error).__name__, at=place_of(error))


async def _run(begun: Begun, context: Context, error: BaseException | None = None) -> None:
    """Be a coroutine from here on; an error is thrown into it first."""
    try:
        if error is None:
            waits_for = context.run(begun.send, None)
        else:
            waits_for = context.run(begun.throw, error)
    except StopIteration:
        return
    await _go_on(begun, context, waits_for)


@coroutine
def _go_on(begun: Begun, context: Context, waits_for: Any) -> Generator[Any, Any, None]:
    """Be the rest of a coroutine: what it waits for is what this task waits for."""
    while True:
        error: BaseException | None = None
        try:
            yield waits_for
        except BaseException as thrown:  # whatever is thrown into the task is the coroutine's
            error = thrown
        try:
            if error is None:
                waits_for = context.run(begun.send, None)
            else:
                waits_for = context.run(begun.throw, error)
        except StopIteration:
            return
        finally:
            # Held by this frame, which its traceback holds, it would make a cycle.
            del error
