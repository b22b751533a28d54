"""What a run saw, kept small enough for hours of it, and written as JSON."""

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Literal

from bench.percentiles import percentiles
from bench.stress.replies import Fault

Try = Literal["first", "retry", "redelivery"]
"""Why a message was delivered: it was new; it was not answered; its answer was lost."""

POINTS: Final = 300
"""Points over a run's time, at most about."""

_EXAMPLES: Final = 5
"""Faults that are spelled out."""


class Record:
    """Takes every delivery down; latencies are in milliseconds."""

    def __init__(self, seconds: int) -> None:
        """``seconds`` is what the run is to take."""
        self._width = max(1, round(seconds / POINTS))
        self._began = time.perf_counter()
        self._began_unix = time.time()
        self._cpu = time.process_time()
        self._latencies = array("f")
        self._own_lags = array("f")
        self._kinds: dict[str, array[float]] = {}
        self._tries: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._examples: list[str] = []
        self._course: list[dict[str, Any]] = []
        self._point = array("f")
        self._point_faults = 0
        self._point_at = 0

    def delivered(self, kind: str, tried: Try, latency: float, fault: Fault | None) -> None:
        """Take a delivery down, once it was answered or given up."""
        at = int(time.perf_counter() - self._began) // self._width
        if at != self._point_at:
            self._end_point(at)
        for values in (self._latencies, self._point, self._kinds.setdefault(kind, array("f"))):
            values.append(latency)
        self._tries[tried] += 1
        if fault is not None:
            self._faults[fault.kind] += 1
            self._point_faults += 1
            if len(self._examples) < _EXAMPLES:
                self._examples.append(f"{kind}, {tried}: {fault.kind}: {fault.why}")

    def unfinished(self, messages: int) -> None:
        """Take down how many messages had no answer yet when the run was ended."""
        if messages:
            self._faults["unfinished"] += messages

    def lagged(self, milliseconds: float) -> None:
        """Take down how late the generator itself was with a message."""
        self._own_lags.append(milliseconds)

    def _end_point(self, next_at: int) -> None:
        self._course.append(
            {
                "second": self._point_at * self._width,
                "requests": len(self._point),
                "requests_per_second": len(self._point) / self._width,
                "failures": self._point_faults,
                **_told(self._point),
            }
        )
        self._point, self._point_faults, self._point_at = array("f"), 0, next_at

    def result(self) -> dict[str, Any]:
        """Return everything, at the end of the run."""
        seconds = time.perf_counter() - self._began
        # The last point is seldom a whole one, and its rate would be of no meaning.
        return {
            "began": self._began_unix,
            "seconds": seconds,
            "requests": len(self._latencies),
            "requests_per_second": len(self._latencies) / seconds,
            "tries": dict(self._tries),
            "failures": dict(self._faults),
            "examples": self._examples,
            "latency_ms": _told(self._latencies),
            "kinds": dict(self._told_by_kind()),
            "generator": {
                "cpu": 100 * (time.process_time() - self._cpu) / seconds,
                "lag_ms": _told(self._own_lags),
            },
            "course_seconds": self._width,
            "course": self._course,
        }

    def _told_by_kind(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind in sorted(self._kinds):
            yield (
                kind,
                {
                    "requests": len(self._kinds[kind]),
                    "latency_ms": _told(self._kinds[kind]),
                },
            )


def _told(milliseconds: "array[float]") -> dict[str, float]:
    """Return their percentiles, to the microsecond."""
    return {name: round(value, 3) for name, value in percentiles(milliseconds).items()}
