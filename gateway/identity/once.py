"""A code is exchanged once, over all processes, and whoever brings it again gets the same answer.

WeChat and browsers call a redirect twice, and a code is good once (40163).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from gateway.identity.ports import SignInStore

EXCHANGE_SECONDS: Final = 20.0
"""How long one process may take; behind that it is another's turn."""

KEEP_SECONDS: Final = 60.0
"""How long the answer is there for who brings the code again."""

LOOK_SECONDS: Final = 0.05


class NotBegun(Exception):
    """There is no such sign-in, or it has another code."""


class NotNow(Exception):
    """Nothing was done, and another try may do it; the argument says why."""


class Done(NamedTuple):
    """A sign-in that has ended."""

    sign_in: bytes
    """As it was begun."""
    outcome: bytes


class Once:
    """Does what is to be done once."""

    def __init__(
        self,
        store: SignInStore,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._sleep = sleep

    async def do(
        self, key: str, code: bytes, exchange: Callable[[bytes], Awaitable[bytes]]
    ) -> Done:
        """Exchange a sign-in's code, or wait for who does; return what came of it.

        ``code`` is its digest. Raises NotBegun, StoreDown, and NotNow where ``exchange`` does, or
        somebody else takes too long.
        """
        looks = int(EXCHANGE_SECONDS / LOOK_SECONDS) + 1
        for _ in range(looks):
            claim = await self._store.claim(key, code, EXCHANGE_SECONDS)
            if claim is None:
                raise NotBegun
            if claim.outcome is not None:
                return Done(claim.sign_in, claim.outcome)
            if claim.mine:
                return Done(claim.sign_in, await self._exchange(key, claim.sign_in, exchange))
            await self._sleep(LOOK_SECONDS)
        raise NotNow

    async def _exchange(
        self, key: str, sign_in: bytes, exchange: Callable[[bytes], Awaitable[bytes]]
    ) -> bytes:
        try:
            outcome = await exchange(sign_in)
        except NotNow:
            await self._store.release(key)
            raise
        await self._store.finish(key, outcome, KEEP_SECONDS)
        return outcome
