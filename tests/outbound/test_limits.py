"""Limits of single calls: they wait for their turn, and nobody calls what WeChat has closed."""

import asyncio

import pytest

from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.adapters.memory_tokens import MemoryTokens
from gateway.errors import Limited, StoreDown, Throttled
from gateway.outbound.api import Retries, WeChatApi
from gateway.outbound.budgets import Grant, Rate, Want
from gateway.outbound.limits import CallLimits
from gateway.simulator.api.quotas import Quota
from tests.outbound.desk import Desk, desk

PATH = "/cgi-bin/user/get"


class Clock:
    """Seconds that pass when something sleeps."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.slept.append(round(seconds, 3))
        self.now += seconds


def limits(clock: Clock, budgets: MemoryBudgets, **rates: Rate) -> CallLimits:
    """Return the limits of an account."""
    given = {PATH: rates["path"]} if "path" in rates else dict(rates)
    return CallLimits("main", budgets, given, clock=clock, sleep=clock.sleep)


def test_a_call_waits_for_its_turn_and_not_for_ever() -> None:
    async def scenario() -> None:
        clock = Clock()
        one = limits(clock, MemoryBudgets(clock), path=Rate(2.0, 1))
        for _ in range(3):
            await one.wait(PATH)
        assert clock.slept == [0.5, 0.5]
        slow = limits(clock, MemoryBudgets(clock), path=Rate(0.01, 1))
        await slow.wait(PATH)
        with pytest.raises(Limited, match=r"/cgi-bin/user/get: not called.*accounts\.main\.rates"):
            await slow.wait(PATH)
        # Other paths have limits of their own: none.
        await slow.wait("/cgi-bin/user/info")

    asyncio.run(scenario())


def test_a_message_by_a_single_call_has_its_channels_budget() -> None:
    async def scenario() -> None:
        clock = Clock()
        budgets = MemoryBudgets(clock)
        one = limits(clock, budgets, template=Rate(1.0, 2))
        await one.wait("/cgi-bin/message/template/send")
        want = Want("main/template", 5, Rate(1.0, 2))
        assert (await budgets.take([want]))[0].count == 1

    asyncio.run(scenario())


def test_what_wechat_has_closed_is_not_called_before_its_reset() -> None:
    async def scenario(at: Desk) -> None:
        transport = at.transport()
        _, tokens = at.api(MemoryTokens(), transport)
        budgets = MemoryBudgets(at.clock)
        given = CallLimits("main", budgets, {}, clock=at.clock)
        api = WeChatApi(transport, tokens, Retries(tries=1), limits=given)
        at.account.quotas.limits[PATH] = Quota(1)
        await api.call("GET", PATH)
        with pytest.raises(Throttled):
            await api.call("GET", PATH)
        called = at.server.calls[PATH]
        with pytest.raises(Limited):
            await api.call("GET", PATH)
        assert at.server.calls[PATH] == called
        at.clock.offset += 86_400
        await api.call("GET", PATH)
        await transport.close()

    async def run() -> None:
        async with desk() as at:
            await scenario(at)

    asyncio.run(run())


def test_calls_go_on_while_nobody_can_say_what_is_left() -> None:
    class Down(MemoryBudgets):
        async def take(self, _wants: object) -> list[Grant]:
            raise StoreDown("the store is down")

        async def pause(self, _name: str, _until: float) -> None:
            raise StoreDown("the store is down")

    async def scenario() -> None:
        clock = Clock()
        one = limits(clock, Down(clock), path=Rate(0.01, 1))
        for _ in range(3):
            await one.wait(PATH)
        await one.learn(PATH, Throttled(PATH, 45009, "said", "meaning", ""))

    asyncio.run(scenario())
