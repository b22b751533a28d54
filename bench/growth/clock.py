"""Times of calls that are compared: taken in turns, so that a slow moment meets all sides."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from bench.growth.scale import Scale
from bench.load.report import Spread


class WrongResult(Exception):
    """A measured call gave what it must not give."""


_Name = TypeVar("_Name", bound=Hashable)


class Side(NamedTuple):
    """A call that is timed, and what must be so while it is."""

    call: Callable[[], object]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


def microseconds(
    sides: Mapping[_Name, Side], scale: Scale, least_calls: int = 1
) -> dict[_Name, Spread]:
    """Return what a call of each side takes, over the runs; each run makes ``least_calls`` or more.

    The calls of a warm-up, as many as a run's, do not count.
    """
    calls = {name: _calls(side, scale.seconds, least_calls) for name, side in sides.items()}
    taken: dict[_Name, list[float]] = {name: [] for name in sides}
    for _ in range(scale.runs):
        for name, side in sides.items():
            taken[name].append(1e6 * _run(side, calls[name]) / calls[name])
    return {name: Spread.of(values) for name, values in taken.items()}


def _calls(side: Side, seconds: float, least: int) -> int:
    """Return how many calls a run makes so that the clock's steps do not matter."""
    calls = least
    while _run(side, calls) < seconds:
        calls *= 2
    return calls


def _run(side: Side, calls: int) -> float:
    call = side.call
    with side.around():
        started = perf_counter()
        for _ in range(calls):
            call()
        return perf_counter() - started
