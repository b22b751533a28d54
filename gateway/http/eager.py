"""Coroutines that begin at once, and get a task of their own only when they wait for something.

Most callbacks are answered without waiting for anything, and a task would cost them more than their
own work: its object, its place in the loop's set of tasks, and a turn of the loop. Python 3.12 has
eager tasks, which save the turn and still make the object; 3.11, the oldest we run on, has none.

So there is a spare task. A coroutine's first step runs in the spare's name: ``current_task()`` is
the spare, and a timeout or a task group made there holds on to it. Where the coroutine ends in
that step, the spare serves the next one. Where it waits, the spare is handed over to it for good
and goes on with it. Each coroutine has a context of its own, as in a task.
"""

import asyncio
from asyncio import _enter_task, _leave_task  # for makers of tasks: docs, "Extending asyncio"
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, NamedTuple

Begun = Coroutine[Any, Any, None]


class _Rest(NamedTuple):
    """What is left of a coroutine behind its first step."""

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
            # In the first step, by itself: what it waits for is cancelled then, as a task has it.
            cancelled = True
        if self.rest is not None:
            await _go_on(self.rest, cancelled)


class Eager:
    """Begins coroutines on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: _Spare | None = None
        self._renewing = False
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, begun: Begun) -> None:
        """Run a coroutine as far as it goes without waiting; what it raises is the loop's to tell.

        To be called by a callback of the loop, not within a task.
        """
        spare = self._spare
        if spare is None or spare.wanted.done() or spare.task.done():
            self._hold(self._loop.create_task(begun))
            self._renew()
            return
        context = copy_context()
        _enter_task(self._loop, spare.task)
        try:
            waits_for = context.run(begun.send, None)
        except StopIteration:
            return
        except Exception as error:
            self._loop.call_exception_handler({"message": "a callback failed", "exception": error})
            return
        finally:
            _leave_task(self._loop, spare.task)
        spare.rest = _Rest(begun, context, waits_for)
        self._spare = None
        self._hold(spare.task)
        if not spare.wanted.done():
            spare.wanted.set_result(None)

    def close(self) -> None:
        """Let the spare go; what waits still goes on."""
        if self._spare is not None and not self._spare.wanted.done():
            self._spare.wanted.set_result(None)

    def _hold(self, task: asyncio.Task[None]) -> None:
        # A task that nothing holds may be collected while it runs.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _renew(self) -> None:
        if not self._renewing:
            self._renewing = True
            # Behind the new task's first step, for one that has not begun cannot catch anything.
            self._loop.call_soon(self._take, _Spare(self._loop))

    def _take(self, spare: _Spare) -> None:
        self._spare, self._renewing = spare, False


@coroutine
def _go_on(rest: _Rest, cancelled: bool) -> Generator[Any, Any, None]:
    """Be the rest of a coroutine: what it waits for is what this task waits for."""
    step, context, waits_for = rest.begun, rest.context, rest.waits_for
    error: BaseException | None = None
    sent = None
    if cancelled and (waits_for is None or not waits_for.cancel()):
        error = asyncio.CancelledError()
    while True:
        if error is None:
            try:
                sent = yield waits_for
            except BaseException as thrown:  # whatever is thrown into the task is the coroutine's
                error = thrown
        try:
            if error is None:
                waits_for = context.run(step.send, sent)
            else:
                waits_for = context.run(step.throw, error)
                # Held by this frame, which its traceback holds, it would make a cycle.
                error = None
        except StopIteration:
            return
