"""Group commit: the steps of concurrent callbacks share one round trip to the store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.errors import StoreDown
from gateway.inbound.claims import Outcome, Step

MAX_BATCH: Final = 128
"""Steps in one round trip; more bring little, and make the first ones wait."""

_Waiting = tuple[Step, asyncio.Future[Outcome] | None]


Commit = Callable[[Sequence[Step]], Awaitable[Sequence[Outcome | StoreDown]]]
"""Takes steps; one may fail alone, its error in the place of its outcome."""


class GroupCommit:
    """Sends steps to a store in batches: at once where it is idle, else with the next batch.

    A batch that fails fails each of its steps, with an error of its own.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    def submit(self, step: Step) -> asyncio.Future[Outcome]:
        """Return what will hold the step's outcome, or the error of its batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._add(loop, step, future)
        return future

    def post(self, step: Step) -> None:
        """Send a step whose outcome nobody waits for."""
        self._add(asyncio.get_running_loop(), step, None)

    def _add(
        self, loop: asyncio.AbstractEventLoop, step: Step, future: asyncio.Future[Outcome] | None
    ) -> None:
        self._waiting.append((step, future))
        if self._sending is None:
            # The task starts behind the callbacks that are ready now: they share its batch.
            self._sending = loop.create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                outcomes = await self._commit([step for step, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if future is not None and not future.done():
                        future.set_exception(type(error)(*error.args))
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future is None or future.done():
                    continue
                if isinstance(outcome, StoreDown):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self._sending = None

    async def flush(self) -> None:
        """Return when everything submitted so far was sent."""
        while self._sending is not None:
            await asyncio.wait([self._sending])
