"""How much load when: the profiles."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

MOST_SECONDS: Final = 24 * 3600
MOST_RATE: Final = 5000
"""Messages per second, and so virtual users; far more than one generating process can send."""


class Stage(NamedTuple):
    """A part of a profile."""

    time: float
    """Its share of the profile's seconds."""
    rate: float
    """Its share of the profile's highest rate."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A course of load; shares of time add up to 1."""

    about: str
    seconds: int
    rate: int
    """Messages per second at most; redeliveries and bursts come on top."""
    stages: tuple[Stage, ...]

    def rate_at(self, second: float) -> int | None:
        """Return how many messages per second are due; None behind the end."""
        if second >= self.seconds:
            return None
        end = 0.0
        for stage in self.stages[:-1]:
            end += stage.time * self.seconds
            if second < end:
                return self._rate(stage)
        return self._rate(self.stages[-1])

    def _rate(self, stage: Stage) -> int:
        return max(1, round(stage.rate * self.rate))

    def scaled(self, seconds: int | None, rate: int | None) -> "Profile":
        """Return the same course over other seconds, to another highest rate."""
        return replace(
            self,
            seconds=self.seconds if seconds is None else seconds,
            rate=self.rate if rate is None else rate,
        )


DEFAULT: Final = "smoke"

PROFILES: Final[Mapping[str, Profile]] = {
    "smoke": Profile("does everything work at all", 25, 100, (Stage(0.2, 0.5), Stage(0.8, 1))),
    "steady": Profile("a busy account's day", 120, 300, (Stage(0.1, 0.5), Stage(0.9, 1))),
    "spike": Profile(
        "a broadcast to everybody: five times the load, at once, and back",
        90,
        600,
        (Stage(0.35, 0.2), Stage(0.25, 1), Stage(0.4, 0.2)),
    ),
    "soak": Profile("hours of the same", 1800, 200, (Stage(0.01, 0.5), Stage(0.99, 1))),
}
