"""Rate budgets: how many sends may begin now, counted over all processes that share a store.

The rule is GCRA, the generic cell rate algorithm of ITU-T I.371 (as for rate limiting:
https://brandur.org/rate-limiting). Its whole state is one time: when everything granted so far
would have been sent at the rate. A budget that rests is full again at most ``burst`` sends later,
and a limit that WeChat tells of (PROTOCOL 7.7) pauses it until that limit's reset.
"""

from collections.abc import Sequence
from math import floor
from typing import Final, NamedTuple, Protocol

TICK: Final = 1e-6
"""Seconds that a send may go too early: clocks are read in microseconds, and a Unix time as a float
has no more than four steps in one. It is not summed up: the next send is reckoned from the exact
time."""


class Rate(NamedTuple):
    """How fast sends may go."""

    per_second: float
    burst: int
    """Sends that may go at once, where there were none for a while; at least 1."""


class Want(NamedTuple):
    """What somebody would like to send."""

    name: str
    """Of the budget: an account and an API, such as ``main/template``."""
    count: int  # type: ignore[assignment]  # nobody looks for a value in it, as tuple.count does
    rate: Rate | None
    """None: as many as are wanted, unless the budget is paused."""


class Grant(NamedTuple):
    """What may be sent of it."""

    count: int  # type: ignore[assignment]  # as above
    wait: float
    """Seconds until there may be more; 0 where all was granted."""


class Budget(NamedTuple):
    """The state of one budget; a new one is full."""

    tat: float = 0.0
    """The theoretical arrival time, Unix seconds."""
    paused_until: float = 0.0
    """Unix seconds."""


class Budgets(Protocol):
    """The budgets of all accounts, shared by all processes; every method raises StoreDown."""

    async def take(self, wants: Sequence[Want]) -> list[Grant]:
        """Take from several budgets in one step; return a grant for each want, in their order.

        From a paused budget nothing is granted until its pause ends.
        """

    async def give_back(self, unused: Sequence[Want]) -> None:
        """Give back what was granted just now and will not be sent; never beyond the burst."""

    async def pause(self, name: str, until: float) -> None:
        """Let nobody take from a budget until then, Unix seconds; a later end is kept."""

    async def resume(self, name: str) -> None:
        """End a pause, for an operator who knows better."""

    async def paused(self) -> dict[str, float]:
        """Return the budgets that are paused, by name, each with its end in Unix seconds."""

    async def close(self) -> None:
        """Let go of connections and threads."""


def take(tat: float, now: float, wanted: int, rate: Rate) -> tuple[float, int, float]:
    """Return the new state, how many of those wanted are granted, and the wait for the next one.

    As many as possible are granted. The wait is in seconds, and 0 where all are.
    """
    full = rate.burst / rate.per_second
    # Ahead of a full burst is a state only where the clock was put back or the rate was raised.
    start = min(max(tat, now), now + full + TICK)
    room = (full + TICK - (start - now)) * rate.per_second
    granted = max(0, min(wanted, floor(room)))
    after = start + granted / rate.per_second
    if granted >= wanted:
        return after, granted, 0.0
    return after, granted, max(0.0, after - now - (rate.burst - 1) / rate.per_second)


def grant(budget: Budget, want: Want, now: float) -> tuple[Budget, Grant]:
    """Return the budget behind a want, and what is granted of it."""
    if budget.paused_until > now:
        return budget, Grant(0, budget.paused_until - now)
    if want.rate is None:
        return budget, Grant(want.count, 0.0)
    tat, granted, wait = take(budget.tat, now, want.count, want.rate)
    return budget._replace(tat=tat), Grant(granted, wait)


def give_back(budget: Budget, unused: Want) -> Budget:
    """Return the budget with what was not used; what is more than the burst counts for nothing."""
    if unused.rate is None:
        return budget
    return budget._replace(tat=budget.tat - unused.count / unused.rate.per_second)
