"""Ratios between the sides of bench.micro, each timed in one run: what one gains over another.

A ratio hardly depends on how fast the machine is, and least times hardly on what else runs there.
What is left is where code and data happen to lie in memory, which is another place in each process:
a baseline is the median of several runs, and a row that lost to it is timed again, its best run
counting, before the loss is believed.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from bench.gates.figures import RATIOS, Figure, State, compare
from bench.gates.refusal import CannotRun
from bench.micro.report import Row, read_rows
from bench.micro.sides import Side
from bench.micro.suite import run_suite, tests_of

SECONDS: Final = 0.3
"""For each row and side."""

AGAIN: Final = 2
"""How often the rows that lost are timed again."""

RUNS: Final = 5
"""How many runs make a baseline."""

SHORTEST: Final = 0.15e-6
"""Seconds; where a step is shorter, its ratios are not gated. By then most of a time is that of the
call itself: pad and unpad, of 0.06 us, moved by 13 % over four quiet runs, where two thirds of the
ratios moved by less than 7 %."""

_ENVIRONMENT: Final = {"PYTHONHASHSEED": "0"}
"""Else dicts collide in one run and not in another."""

_PAIRS: Final = (
    (Side.PURE, Side.COMPILED),
    (Side.WECHATPY, Side.COMPILED),
    (Side.WECHATPY, Side.PURE),
    (Side.WECHATPY, Side.SHARED),
)

Time = Callable[[Sequence[str]], dict[str, Any]]
"""Times the tests with these names, all where there are none, and returns the report."""


def time_suite(tests: Sequence[str] = ()) -> dict[str, Any]:
    """Run bench.micro, or some of its tests; raise CannotRun where one fails."""
    report = run_suite(SECONDS, tests, _ENVIRONMENT)
    if report is None:
        raise CannotRun("a timed step failed; what pytest said is above")
    return report


def ratios_of(rows: Sequence[Row]) -> list[Figure]:
    """Return how many times as fast each side of a row is as a slower one, as ``slower/own``."""
    return [
        Figure(
            row.name,
            f"{other}/{own}",
            _least(row, other) / _least(row, own),
            gated=min(_least(row, other), _least(row, own)) >= SHORTEST,
        )
        for row in rows
        for other, own in _PAIRS
        if other in row.sides and own in row.sides
    ]


def hold(baseline: Sequence[Figure], time: Time = time_suite) -> list[Figure]:
    """Time everything once, and what lost to the baseline up to AGAIN times more."""
    report = time(())
    figures = ratios_of(read_rows(report))
    for _ in range(AGAIN):
        findings = compare(baseline, figures, RATIOS)
        lost = {one.row for one in findings if one.state is State.LOST}
        if not lost:
            break
        figures = _best(figures, ratios_of(read_rows(time(tests_of(report, lost)))))
    return figures


def measure(time: Time = time_suite) -> list[Figure]:
    """Time everything RUNS times, for a baseline."""
    runs = [ratios_of(read_rows(time(()))) for _ in range(RUNS)]
    return [_over(list(figures)) for figures in zip(*runs, strict=True)]


def _over(runs: list[Figure]) -> Figure:
    """Return the median of a figure's runs, and how far they are apart."""
    values = sorted(one.value for one in runs)
    # Without the outermost: one run on a machine that was busy for a while says nothing of the row.
    spread = values[-2] / values[1] - 1
    gated = all(one.gated for one in runs)
    return Figure(runs[0].row, runs[0].what, median(values), gated=gated, spread=spread)


def unsteady(figures: Sequence[Figure]) -> list[str]:
    """Return what to say of a baseline's figures whose runs differ by what a gate allows."""
    wide = [
        f"{one.row}, {one.what} (by {100 * one.spread:.0f} %)"
        for one in figures
        if one.gated and one.spread is not None and one.spread > RATIOS.limit
    ]
    if not wide:
        return []
    return [f"Moved between runs: {'; '.join(wide)}. Renew the baseline on a quiet machine."]


def _best(figures: Sequence[Figure], again: Sequence[Figure]) -> list[Figure]:
    others = {(one.row, one.what): one for one in again}
    return [
        max(one, others.get((one.row, one.what), one), key=lambda figure: figure.value)
        for one in figures
    ]


def _least(row: Row, side: Side) -> float:
    return float(row.sides[side]["min"])
