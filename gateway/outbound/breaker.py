"""A circuit breaker: while a platform is in trouble, one send at a time finds out if it still is.

One for each account and API, in each process. It has no clock and no chance of its own; ``now`` is
in seconds of any clock that does not jump, and ``draw`` in [0, 1).
"""

from enum import StrEnum
from typing import Final, NamedTuple

from gateway.backoff import full_jitter


class BreakerTerms(NamedTuple):
    """When it opens, and for how long."""

    failures: int = 5
    """One after another."""
    base: float = 1.0
    """Seconds that it is open at most, for the first time; then twice as long each time."""
    cap: float = 60.0
    """Seconds that it is never open longer."""
    probe: float = 60.0
    """Seconds after which a probe that nobody told the end of counts as lost."""


class State(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """All."""
    OPEN = "open"
    """Nothing."""
    HALF_OPEN = "half_open"
    """One, the probe."""


_NONE: Final = float("-inf")


class Breaker:
    """The state of one account's API, as one process sees it.

    Whoever sends tells of each send how it went: ``failed`` where the platform or the way to it is
    in trouble, ``succeeded`` where it answered, be it with a refusal; ``unused`` where it was let
    through and did not begin.
    """

    __slots__ = ("_failures", "_openings", "_probe_until", "_terms", "_until")

    def __init__(self, terms: BreakerTerms = BreakerTerms()) -> None:  # noqa: B008  # immutable
        self._terms = terms
        self._until: float | None = None
        """When it is half open; None while it is closed."""
        self._probe_until = _NONE
        self._failures = 0
        self._openings = 0

    @property
    def is_closed(self) -> bool:
        """Whether it lets all through."""
        return self._until is None

    def state(self, now: float) -> State:
        """Return what it lets through."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    def wait(self, now: float) -> float:
        """Return the seconds until there may be room; 0 where there is."""
        if self._until is None:
            return 0.0
        return max(0.0, self._until - now, self._probe_until - now)

    def room(self, now: float, wanted: int) -> int:
        """Return how many of those wanted may begin; one of a half-open breaker is its probe."""
        if self._until is None:
            return wanted
        if wanted < 1 or now < self._until or now < self._probe_until:
            return 0
        self._probe_until = now + self._terms.probe
        return 1

    def unused(self) -> None:
        """Take back what ``room`` let through and did not begin: another one may be the probe."""
        self._probe_until = _NONE

    def succeeded(self) -> None:
        """Note a send that the platform answered: that of a probe closes."""
        # While it is open, what began before is late news.
        if self._until is None or self._probe_until != _NONE:
            self._until = None
            self._probe_until = _NONE
            self._failures = self._openings = 0

    def failed(self, now: float, draw: float) -> None:
        """Note a send that failed for the platform's trouble: that of a probe opens for longer."""
        if self._until is None:
            self._failures += 1
            if self._failures >= self._terms.failures:
                self._open(now, draw)
        elif self._probe_until != _NONE:
            self._open(now, draw)

    def trip(self, now: float, seconds: float) -> None:
        """Open at once, for so long at least: nothing helps but an operator."""
        self._until = max(now + seconds, now if self._until is None else self._until)
        self._probe_until = _NONE

    def _open(self, now: float, draw: float) -> None:
        self._openings += 1
        self._probe_until = _NONE
        # Half of it is certain: a breaker that draws 0 would not open at all.
        base, cap = self._terms.base / 2, self._terms.cap / 2
        certain = full_jitter(self._openings, base, cap, 1.0)
        self._until = now + certain + full_jitter(self._openings, base, cap, draw)
