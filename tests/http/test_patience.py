"""Waiting has an end, for each waiter by itself."""

import asyncio

import pytest

from gateway.http.patience import Patience, TooSlow


def test_what_comes_in_time_comes_through() -> None:
    async def soon() -> str:
        await asyncio.sleep(0.01)
        return "here"

    assert asyncio.run(Patience(5).wait(soon())) == "here"


def test_what_does_not_come_is_given_up_and_the_waiter_goes_on() -> None:
    async def run() -> tuple[list[object], int]:
        patience = Patience(1)

        async def wait(seconds: float) -> object:
            try:
                return await patience.wait(asyncio.sleep(seconds, "here"))
            except TooSlow:
                # The task itself is not left cancelled.
                await asyncio.sleep(0)
                return "given up"

        outcomes = await asyncio.gather(wait(60), wait(0.01), wait(60))
        return list(outcomes), len(patience._since) + len(patience._given_up)

    assert asyncio.run(run()) == (["given up", "here", "given up"], 0)


def test_a_waiter_that_is_cancelled_stays_cancelled() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(Patience(5).wait(asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
