"""Rate budgets within one process: nothing of them outlives it."""

import time
from collections.abc import Callable, Sequence

from gateway.outbound.budgets import Budget, Grant, Want, give_back, grant


class MemoryBudgets:
    """The Budgets of one process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives Unix seconds."""
        self._clock = clock
        self._kept: dict[str, Budget] = {}

    async def take(self, wants: Sequence[Want]) -> list[Grant]:
        """Take from several budgets."""
        now = self._clock()
        return [self._take(want, now) for want in wants]

    async def give_back(self, unused: Sequence[Want]) -> None:
        """Give back what will not be sent."""
        for want in unused:
            self._kept[want.name] = give_back(self._of(want.name), want)

    async def pause(self, name: str, until: float) -> None:
        """Let nobody take from a budget until then."""
        kept = self._of(name)
        self._kept[name] = kept._replace(paused_until=max(kept.paused_until, until))

    async def resume(self, name: str) -> None:
        """End a pause."""
        self._kept[name] = self._of(name)._replace(paused_until=0.0)

    async def paused(self) -> dict[str, float]:
        """Return the budgets that are paused."""
        now = self._clock()
        return {n: kept.paused_until for n, kept in self._kept.items() if kept.paused_until > now}

    async def close(self) -> None:
        """Do nothing."""

    def _take(self, want: Want, now: float) -> Grant:
        self._kept[want.name], granted = grant(self._of(want.name), want, now)
        return granted

    def _of(self, name: str) -> Budget:
        return self._kept.get(name, Budget())
