"""Percentiles of many latencies, by nearest rank: each is a latency that did occur."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final

LEVELS: Final[Mapping[str, float]] = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
"""What is told of a run, and the share of latencies, in percent, that are not above it."""


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """Return the levels of some latencies, in their unit; all 0 where there are none."""
    ordered = sorted(values)
    if not ordered:
        return dict.fromkeys(LEVELS, 0.0)
    return {
        # Rounded first: 99.9 % of 1000 is 999, and not a little more.
        name: ordered[max(0, ceil(round(len(ordered) * level / 100, 6)) - 1)]
        for name, level in LEVELS.items()
    }
