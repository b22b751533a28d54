"""Rate budgets in Redis, shared by all processes of any number of machines."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from redis.exceptions import RedisError

from gateway.adapters.redis_client import PREFIX, Script, down, open_redis
from gateway.outbound.budgets import Grant, Want


class RedisBudgets:
    """The Budgets in a Redis server, by its clock."""

    def __init__(self, url: str, *, timeout: float, prefix: str = PREFIX) -> None:
        """A server silent for ``timeout`` seconds is down; ``prefix`` begins every key."""
        self._redis = open_redis(url, "store.redis_url", timeout=timeout)
        self._prefix = f"{prefix}budget:"
        self._script = Script("redis_budgets.lua")

    async def take(self, wants: Sequence[Want]) -> list[Grant]:
        """Take from several budgets, in one script."""
        given = await self._run("take", *_flat(wants))
        return [
            Grant(int(count), float(wait))
            for count, wait in zip(given[::2], given[1::2], strict=True)
        ]

    async def give_back(self, unused: Sequence[Want]) -> None:
        """Give back what will not be sent, in one script."""
        await self._run("give_back", *_flat(unused))

    async def pause(self, name: str, until: float) -> None:
        """Let nobody take from a budget until then."""
        await self._run("pause", name, repr(until))

    async def resume(self, name: str) -> None:
        """End a pause."""
        await self._run("resume", name)

    async def paused(self) -> dict[str, float]:
        """Return the budgets that are paused."""
        given = await self._run("paused")
        ends = zip(given[::2], given[1::2], strict=True)
        return {name.decode(): float(until) for name, until in ends}

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, *arguments: Any) -> Any:
        try:
            return await self._script.run(self._redis, self._prefix, *arguments)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None


def _flat(wants: Sequence[Want]) -> list[Any]:
    """Return what the script takes of each want; no rate is 0 in a second."""
    rates = ((0.0, 0) if want.rate is None else want.rate for want in wants)
    each = (
        (want.name, want.count, repr(float(per_second)), burst)
        for want, (per_second, burst) in zip(wants, rates, strict=True)
    )
    return list(chain.from_iterable(each))
