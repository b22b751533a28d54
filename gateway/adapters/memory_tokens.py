"""Tokens within one process: nothing of them outlives it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.outbound.ports import Claimed, StoredToken


@dataclass(slots=True)
class _Kept:
    token: StoredToken | None = None
    issued: int = 0
    till: float = 0.0


class MemoryTokens:
    """The TokenStore of one process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives Unix seconds."""
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def read(self, name: str) -> StoredToken | None:
        """Return the token as it is stored."""
        kept = self._kept.get(name)
        return None if kept is None else kept.token

    async def claim(self, name: str, fence: int, seconds: float) -> Claimed:
        """Ask to replace the token of a refresh."""
        kept = self._kept.setdefault(name, _Kept())
        if kept.token is not None and kept.token.fence > fence:
            return Claimed(kept.token, None)
        if kept.till > self._clock():
            return Claimed(None, None)
        kept.issued += 1
        kept.till = self._clock() + seconds
        return Claimed(None, kept.issued)

    async def put(self, name: str, token: StoredToken) -> bool:
        """Store a token, if its refresh is the last."""
        kept = self._kept.setdefault(name, _Kept())
        if kept.issued != token.fence:
            return False
        kept.token, kept.till = token, 0.0
        return True

    async def give_up(self, name: str, fence: int, seconds: float) -> None:
        """Let nobody refresh for a while."""
        kept = self._kept.get(name)
        if kept is not None and kept.issued == fence:
            kept.till = self._clock() + seconds

    async def close(self) -> None:
        """Do nothing."""
