"""Group commit: the steps of concurrent callbacks share one round trip to the store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.errors import StoreDown
from gateway.inbound.claims import Outcome, Step
from gateway.inbound.parking import Parking

MAX_BATCH: Final = 128
"""Steps in one round trip; more bring little, and make the first ones wait."""

_Waiting = tuple[Step, Parking[Outcome] | None]
_Settled = tuple[Parking[Outcome], Outcome | None, Exception | None]
"""Who waits, for what it gets: an outcome or an error."""


Commit = Callable[[Sequence[Step]], Awaitable[Sequence[Outcome | StoreDown]]]
"""Takes steps; one may fail alone, its error in the place of its outcome."""

TakeStep = Callable[[Step], Outcome]
"""Takes a step within this process, where nothing is to be waited for and nothing can fail."""


class GroupCommit:
    """Sends steps to a store in batches: at once where it is idle, else with the next batch.

    A batch that fails fails each of its steps, with an error of its own. A store that is in this
    process needs no batches: its ``take_step`` is called.
    """

    def __init__(self, commit: Commit, take_step: TakeStep | None = None) -> None:
        self._commit = commit
        self.take_step = take_step
        """Takes a step without waiting, where the store is in this process; else None."""
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    def submit(self, step: Step) -> asyncio.Future[Outcome]:
        """Return what will hold the step's outcome, or the error of its batch."""
        loop = asyncio.get_running_loop()
        future: Parking[Outcome] = Parking(loop=loop)
        if self.take_step is not None:
            future.set_result(self.take_step(step))
        else:
            self._add(loop, step, future)
        return future

    def post(self, step: Step) -> None:
        """Send a step whose outcome nobody waits for."""
        if self.take_step is not None:
            self.take_step(step)
        else:
            self._add(asyncio.get_running_loop(), step, None)

    def _add(
        self, loop: asyncio.AbstractEventLoop, step: Step, future: Parking[Outcome] | None
    ) -> None:
        self._waiting.append((step, future))
        if self._sending is None:
            # The task starts behind the callbacks that are ready now: they share its batch.
            self._sending = loop.create_task(self._send())

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            settled: list[_Settled] = []
            try:
                outcomes = await self._commit([step for step, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if future is not None:
                        settled.append((future, None, type(error)(*error.args)))
            else:
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if future is None:
                        continue
                    if isinstance(outcome, StoreDown):
                        settled.append((future, None, outcome))
                    else:
                        settled.append((future, outcome, None))
            # In no task, for what is parked runs there as in one of its own.
            loop.call_soon(_settle, settled)
        self._sending = None

    async def flush(self) -> None:
        """Return when everything submitted so far was sent."""
        while self._sending is not None:
            await asyncio.wait([self._sending])


def _settle(settled: Sequence[_Settled]) -> None:
    """Let those who waited for a batch go on."""
    for future, outcome, error in settled:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        elif outcome is not None:
            future.set_result(outcome)
        future.go_on()
