"""What may be sent now: the budgets and breakers of each account's channels, asked in one step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.errors import (
    AccountRejected,
    ApiError,
    Busy,
    NotSent,
    StoreDown,
    TokenUnavailable,
    Unanswered,
)
from gateway.outbound.breaker import Breaker
from gateway.outbound.breaker import State as BreakerState
from gateway.outbound.budgets import Budgets, Rate, Want
from gateway.outbound.jobs import Channel
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.outbound")

TRIPPED_SECONDS: Final = 60.0
"""How long nothing is sent where the account is not set up for it, before one job finds out whether
it is by now: so that a backlog does not become dead letters all at once."""

_IN_TROUBLE: Final = (Busy, NotSent, Unanswered, TokenUnavailable)
"""Errors that say something of the platform or of the way to it, and nothing of the message."""


class Route(NamedTuple):
    """An account's channel: what has a budget and a breaker of its own."""

    account: str
    channel: Channel

    @property
    def name(self) -> str:
        """Its name, for log lines and the budgets' store."""
        return f"{self.account}/{self.channel}"


class Opening(NamedTuple):
    """How many messages of a route may begin."""

    route: Route
    room: int


class Gates:
    """The budgets and breakers of all routes, to one process."""

    def __init__(
        self,
        budgets: Budgets,
        rates: Mapping[Route, Rate],
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        """Routes without a rate are sent to as fast as they take it; ``clock`` in Unix seconds."""
        self._budgets = budgets
        self._rates = rates
        self._clock = clock
        self._draw = draw
        self._breakers: dict[Route, Breaker] = {}
        self._paused: dict[Route, float] = {}
        """Until when this process had each paused."""
        self.wait = 0.0
        """Seconds until a route that was closed at the last look may open; 0 where none was."""

    async def open(self, wanted: Sequence[Opening]) -> list[Opening]:
        """Return what may begin of what is wanted; whoever does not use it tells ``unused``."""
        now = self._clock()
        waits = []
        wants: list[tuple[Route, Want]] = []
        for route, room in wanted:
            if passed := self._breaker(route).room(now, room):
                wants.append((route, Want(route.name, passed, self._rates.get(route))))
            else:
                waits.append(self._breaker(route).wait(now))
        grants = await self._budgets.take([want for _, want in wants]) if wants else []
        opened = []
        for (route, _), grant in zip(wants, grants, strict=True):
            if grant.count:
                # Its pause is over, or an operator ended it: the next one is told of again.
                self._paused.pop(route, None)
                opened.append(Opening(route, grant.count))
            else:
                self._breaker(route).unused()
                waits.append(grant.wait)
        self.wait = min(waits, default=0.0)
        return opened

    async def unused(self, openings: Sequence[Opening]) -> None:
        """Give back what did not begin; ``room`` is how many."""
        for route, _ in openings:
            self._breaker(route).unused()
        rated = [
            Want(route.name, room, rate)
            for route, room in openings
            if (rate := self._rates.get(route)) is not None
        ]
        if rated:
            await self._budgets.give_back(rated)

    def skipped(self, route: Route) -> None:
        """Note that a job was not sent after all."""
        self._breaker(route).unused()

    async def pause(self, route: Route, until: float) -> None:
        """Let nobody send to a route until then, Unix seconds: WeChat told of a limit."""
        if until <= self._paused.get(route, 0.0):
            return
        self._paused[route] = until
        _log.warning(
            "push waits for its limit", route=route.name, seconds=round(until - self._clock())
        )
        try:
            await self._budgets.pause(route.name, until)
        except StoreDown:
            del self._paused[route]
            raise

    def answered(self, route: Route, error: ApiError | None = None) -> None:
        """Note how an attempt ended, for the route's breaker."""
        breaker = self._breaker(route)
        if error is None and breaker.is_closed:
            breaker.succeeded()
            return
        now = self._clock()
        before = breaker.state(now)
        if isinstance(error, AccountRejected):
            breaker.trip(now, TRIPPED_SECONDS)
        elif isinstance(error, _IN_TROUBLE):
            breaker.failed(now, self._draw())
        else:
            breaker.succeeded()
        if before is BreakerState.CLOSED and breaker.state(now) is BreakerState.OPEN:
            _log.warning(
                "nothing is pushed for a while",
                route=route.name,
                seconds=round(breaker.wait(now), 1),
                error=str(error),
            )
        elif before is not BreakerState.CLOSED and breaker.state(now) is BreakerState.CLOSED:
            _log.info("push goes on", route=route.name)

    def _breaker(self, route: Route) -> Breaker:
        if route not in self._breakers:
            self._breakers[route] = Breaker()
        return self._breakers[route]
