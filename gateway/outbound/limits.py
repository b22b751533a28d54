"""Limits of calls that are made one by one: they wait for a budget, and learn from WeChat's own.

What the worker pool sends has its budgets asked in batches (gates); both share them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.errors import Limited, StoreDown, Throttled
from gateway.outbound.budgets import Budgets, Rate, Want
from gateway.outbound.jobs import PATHS, Channel
from gateway.outbound.policy import throttled_until
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.outbound")

PATIENCE_SECONDS: Final = 10.0
"""How long a call waits for its turn; it fails at once where that takes longer."""

_CHANNELS: Final[Mapping[str, Channel]] = {path: channel for channel, path in PATHS.items()}


class CallLimits:
    """The limits of one account's calls."""

    def __init__(
        self,
        account: str,
        budgets: Budgets,
        rates: Mapping[str, Rate],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``rates`` by path or by channel; ``clock`` gives Unix seconds."""
        self._account = account
        self._budgets = budgets
        self._rates = rates
        self._clock = clock
        self._sleep = sleep

    async def wait(self, path: str) -> None:
        """Return when a call may begin; raise Limited where that takes too long.

        While the store of budgets is down, calls go on: WeChat has limits of its own.
        """
        want = Want(self._name(path), 1, self._rates.get(_CHANNELS.get(path, path)))
        patient_until = self._clock() + PATIENCE_SECONDS
        while True:
            try:
                (grant,) = await self._budgets.take([want])
            except StoreDown as down:
                _log.warning(
                    "calls go on without their limits", account=self._account, error=str(down)
                )
                return
            if grant.count:
                return
            if self._clock() + grant.wait > patient_until:
                raise Limited(
                    f"{path}: not called: a limit of account {self._account} is used up for "
                    f"{grant.wait:,.0f} s more; see accounts.{self._account}.rates, or WeChat's "
                    "quota of it"
                )
            await self._sleep(grant.wait)

    async def learn(self, path: str, error: Throttled) -> None:
        """Let nobody call it before the limit's reset, of which WeChat told."""
        until = throttled_until(error.code, self._clock())
        try:
            await self._budgets.pause(self._name(path), until)
        except StoreDown as down:
            _log.warning("calls are not paused", account=self._account, path=path, error=str(down))

    def _name(self, path: str) -> str:
        channel = _CHANNELS.get(path)
        return f"{self._account}{path}" if channel is None else f"{self._account}/{channel}"
