"""A code is exchanged once, over all processes, and whoever brings it again gets the same answer.

WeChat and browsers call a redirect twice, and a code is good once (40163).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.identity.ports import SignInStore

EXCHANGE_SECONDS: Final = 20.0
"""How long one process may take; behind that it is another's turn."""

ANSWER_SECONDS: Final = 60.0
"""How long the answer is there for who brings the code again."""

LOOK_SECONDS: Final = 0.05


class Spent(Exception):
    """The sign-in is over, or has another code."""


class NotNow(Exception):
    """Nothing was done, and another try may do it; the argument says why."""


class Once:
    """Does what is to be done once."""

    def __init__(
        self,
        store: SignInStore,
        keep: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``keep`` is how many seconds a sign-in is known at least: till nobody can bring it."""
        self._store = store
        self._keep = keep
        self._sleep = sleep

    async def do(self, key: str, code: bytes, exchange: Callable[[], Awaitable[bytes]]) -> bytes:
        """Exchange a sign-in's code, or wait for who does; return what came of it.

        ``code`` is its digest. Raises Spent, StoreDown, and NotNow where ``exchange`` does, or
        somebody else takes too long.
        """
        looks = int(EXCHANGE_SECONDS / LOOK_SECONDS) + 1
        for _ in range(looks):
            claim = await self._store.claim(key, code, EXCHANGE_SECONDS, self._keep)
            if claim is None or claim.spent:
                raise Spent
            if claim.outcome is not None:
                return claim.outcome
            if claim.mine:
                return await self._exchange(key, exchange)
            await self._sleep(LOOK_SECONDS)
        raise NotNow

    async def _exchange(self, key: str, exchange: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            outcome = await exchange()
        except NotNow:
            await self._store.release(key)
            raise
        await self._store.finish(key, outcome, ANSWER_SECONDS)
        return outcome
