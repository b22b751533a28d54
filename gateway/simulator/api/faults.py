"""What goes wrong on demand: each kind at its rate, drawn for every call."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final


class ApiFault(StrEnum):
    """What can happen to a call."""

    BUSY = "busy"
    """errcode -1, nothing done."""
    DAILY = "daily"
    """errcode 45009, nothing done."""
    MINUTE = "minute"
    """errcode 45011, nothing done."""
    TOKEN = "token"  # noqa: S105  # a name
    """errcode 42001, nothing done."""
    STATUS = "status"
    """Status 502, nothing done."""
    RESET_BEFORE = "reset-before"
    """The connection is reset, nothing done."""
    RESET_AFTER = "reset-after"
    """It is done, and the connection is reset."""
    HALF = "half"
    """It is done, and half an answer comes."""


ERRCODES: Final[Mapping[ApiFault, int]] = {
    ApiFault.BUSY: -1,
    ApiFault.DAILY: 45009,
    ApiFault.MINUTE: 45011,
    ApiFault.TOKEN: 42001,
}


class Faults:
    """Which calls meet which fault."""

    def __init__(self, draw: Callable[[], float]) -> None:
        """``draw`` gives numbers in [0, 1)."""
        self._draw = draw
        self.rates: dict[ApiFault, float] = {}
        """The share of calls that meet each."""
        self.latency = 0.0
        """Seconds that every call takes."""

    def draw(self) -> ApiFault | None:
        """Return what happens to a call; most often nothing."""
        if not self.rates:
            return None
        drawn = self._draw()
        for fault, rate in self.rates.items():
            if drawn < rate:
                return fault
            drawn -= rate
        return None
