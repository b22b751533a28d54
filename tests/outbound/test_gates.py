"""What may be sent now: budgets and breakers asked together."""

import asyncio
import logging

import pytest

from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.errors import NotSent, StoreDown
from gateway.outbound.budgets import Rate
from gateway.outbound.failures import rejection
from gateway.outbound.gates import TRIPPED_SECONDS, Gates, Opening, Route
from gateway.outbound.jobs import Channel

A = Route("main", Channel.TEMPLATE)
B = Route("other", Channel.TEMPLATE)


class Clock:
    """Seconds that a test moves on."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def gates(clock: Clock, **rates: Rate) -> tuple[Gates, MemoryBudgets]:
    """Return gates with a rate for each account that is named."""
    budgets = MemoryBudgets(clock)
    given = {Route(name, Channel.TEMPLATE): rate for name, rate in rates.items()}
    return Gates(budgets, given, clock=clock, draw=lambda: 0.5), budgets


def test_a_route_without_a_rate_is_open_and_one_with_a_rate_as_far_as_it_goes() -> None:
    async def scenario() -> None:
        clock = Clock()
        one, _ = gates(clock, other=Rate(10.0, 5))
        assert await one.open([Opening(A, 8), Opening(B, 8)]) == [Opening(A, 8), Opening(B, 5)]
        assert await one.open([Opening(A, 8), Opening(B, 8)]) == [Opening(A, 8)]
        assert 0 < one.wait <= 0.1
        # What was not used is there again.
        await one.unused([Opening(A, 8), Opening(B, 3)])
        assert await one.open([Opening(B, 8)]) == [Opening(B, 3)]

    asyncio.run(scenario())


def test_a_pause_is_told_of_once_and_holds_for_all_processes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        clock = Clock()
        one, budgets = gates(clock)
        another = Gates(budgets, {}, clock=clock, draw=lambda: 0.5)
        for _ in range(3):
            await one.pause(A, clock.now + 60)
        assert await another.open([Opening(A, 8), Opening(B, 8)]) == [Opening(B, 8)]
        assert another.wait == 60
        clock.now += 61
        assert await another.open([Opening(A, 8)]) == [Opening(A, 8)]

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "push waits for its limit route=main/template seconds=60"
    ]


def test_a_pause_that_an_operator_ended_can_come_again() -> None:
    async def scenario() -> None:
        clock = Clock()
        one, budgets = gates(clock)
        until = clock.now + 60
        await one.pause(A, until)
        await budgets.resume("main/template")
        assert await one.open([Opening(A, 8)]) == [Opening(A, 8)]
        await one.pause(A, until)
        assert await one.open([Opening(A, 8)]) == []

    asyncio.run(scenario())


def test_a_pause_that_cannot_be_stored_is_tried_again() -> None:
    class Down(MemoryBudgets):
        is_down = True

        async def pause(self, name: str, until: float) -> None:
            if self.is_down:
                raise StoreDown("the store is down")
            await super().pause(name, until)

    async def scenario() -> None:
        clock = Clock()
        budgets = Down(clock)
        one = Gates(budgets, {}, clock=clock, draw=lambda: 0.5)
        with pytest.raises(StoreDown):
            await one.pause(A, clock.now + 60)
        budgets.is_down = False
        await one.pause(A, clock.now + 60)
        assert await one.open([Opening(A, 1)]) == []

    asyncio.run(scenario())


def test_a_platform_in_trouble_is_left_alone_until_one_message_gets_through() -> None:
    async def scenario() -> None:
        clock = Clock()
        one, _ = gates(clock)
        for _ in range(5):
            one.answered(A, NotSent("/x"))
        assert await one.open([Opening(A, 8), Opening(B, 8)]) == [Opening(B, 8)]
        assert 0 < one.wait <= 1
        clock.now += 1.1
        assert await one.open([Opening(A, 8)]) == [Opening(A, 1)]
        assert await one.open([Opening(A, 8)]) == []
        # There was nothing to send after all: another one may find out.
        one.skipped(A)
        assert await one.open([Opening(A, 8)]) == [Opening(A, 1)]
        # A refusal is an answer.
        one.answered(A, rejection("/x", 43004, "require subscribe"))
        assert await one.open([Opening(A, 8)]) == [Opening(A, 8)]

    asyncio.run(scenario())


def test_an_account_that_is_not_set_up_is_asked_once_a_minute() -> None:
    async def scenario() -> None:
        clock = Clock()
        one, _ = gates(clock)
        one.answered(A, rejection("/x", 48001, "api unauthorized"))
        assert await one.open([Opening(A, 8)]) == []
        clock.now += TRIPPED_SECONDS + 1
        assert await one.open([Opening(A, 8)]) == [Opening(A, 1)]
        one.answered(A, rejection("/x", 48001, "api unauthorized"))
        assert await one.open([Opening(A, 8)]) == []

    asyncio.run(scenario())
