"""Reads that are asked for at about the same time share one call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

MAX_BATCH: Final = 256


class Gathering(Generic[_K, _V]):
    """Asks for things in batches: at once where nothing is asked, else with the next batch.

    A batch that fails fails each of its askers, with an error of its own.
    """

    def __init__(self, ask: Callable[[Sequence[_K]], Awaitable[Sequence[_V]]]) -> None:
        """``ask`` returns a thing for each that is asked for, in order."""
        self._ask = ask
        self._waiting: list[tuple[_K, asyncio.Future[_V]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def get(self, key: _K) -> _V:
        """Return what there is for one; raise what asking raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_V] = loop.create_future()
        self._waiting.append((key, future))
        if self._asking is None:
            # The task starts behind the requests that are ready now: they share its batch.
            self._asking = loop.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            await self._empty()
        finally:
            self._asking = None

    async def _empty(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                found = await self._ask([key for key, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(_another(error))
            else:
                for (_, future), value in zip(batch, found, strict=True):
                    if not future.done():
                        future.set_result(value)


def _another(error: Exception) -> Exception:
    """Return an error like this for one more asker: each raises its own."""
    try:
        return type(error)(*error.args)
    except Exception:
        return RuntimeError(type(error).__name__)
