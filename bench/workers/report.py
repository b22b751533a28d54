"""What is told of a run: the table, whether a second worker is worth one, and the JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from bench import table
from bench.load.cores import DISTURBED, SATURATED
from bench.load.report import Spread
from bench.load.servers import ROWS
from bench.provenance import provenance
from bench.workers.layout import Layout
from bench.workers.runner import WARM_UP_SECONDS, Measurement, Plan

GOAL: Final = 1.8
"""How many times the throughput of one worker two must reach."""

_PACKAGES: Final = (
    *("wechat-gateway", "granian", "litestar", "uvloop", "msgspec", "pycryptodome", "redis"),
)
_HEADINGS: Final = (
    *("server", "workers", "generator", "requests/s", "CPU ms per 1,000", "lesser worker"),
    *("x 1 worker", "scaling by CPU cost, derived", "errors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One row in one layout over all rounds."""

    workers: int
    apart: bool
    """Whether the generator ran on another core."""
    requests_per_second: Spread
    cpu_ms: Spread
    """What the server's processes take of a processor for 1,000 requests, in milliseconds."""
    least_share: Spread
    """The share that the worker with the least work has of what all took of a processor."""
    generator_cpu: float
    """In percent of a core, a Redis's share among it."""
    errors: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row over all rounds; ratios are taken within each round."""

    row: str
    title: str
    figures: list[Figures]
    """In the order of the layouts: those of two workers stand last."""
    ratio: Spread
    """Throughput of two workers over that of one, whose generator is where that of two is."""
    scaling: Spread
    """Derived: twice the requests per CPU second of two workers over those of one alone."""
    examples: list[str]
    disturbed: int
    """Measurements in which something else had a share of a core that counts, where known."""

    @property
    def apart(self) -> bool:
        """Whether two workers had the generator on another core."""
        return self.figures[-1].apart

    @property
    def errors(self) -> int:
        """How many replies were wrong or missing."""
        return sum(sum(one.errors.values()) for one in self.figures)

    @property
    def saturated(self) -> bool:
        """Whether the generator was what held two workers up."""
        return self.figures[-1].generator_cpu >= SATURATED

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Yield the rows of the table, as under its headings."""
        for one in self.figures:
            two = one.workers > 1
            errors = ", ".join(f"{count:,} {kind}" for kind, count in one.errors.items())
            yield (
                self.title,
                str(one.workers),
                "apart" if one.apart else "on the same",
                one.requests_per_second.show(0),
                one.cpu_ms.show(1),
                f"{100 * one.least_share.median:.0f} %" if two else "-",
                self.ratio.show(2) if two else "-",
                self.scaling.show(2) if two else "-",
                errors or "0",
            )


def summarise(rows: Sequence[str], measured: Sequence[Measurement]) -> list[Summary]:
    """Return a summary per row, in the rows' order."""
    return [_summary(row, [one for one in measured if one.row == row]) for row in rows]


def _summary(row: str, measured: list[Measurement]) -> Summary:
    layouts = list(dict.fromkeys(one.layout for one in measured))
    rounds = {layout: [one for one in measured if one.layout == layout] for layout in layouts}
    two = rounds[layouts[-1]]
    alike, alone = rounds[1, layouts[-1][1]], rounds[1, True]
    return Summary(
        row=row,
        title=ROWS[row].title,
        figures=[_figures(ones) for ones in rounds.values()],
        ratio=Spread.of(
            [
                both.requests_per_second / one.requests_per_second
                for one, both in zip(alike, two, strict=True)
            ]
        ),
        scaling=Spread.of(
            [
                both.workers * both.requests_per_cpu_second / one.requests_per_cpu_second
                for one, both in zip(alone, two, strict=True)
            ]
        ),
        examples=[example for one in measured for example in one.examples],
        disturbed=sum(_others(one) >= DISTURBED for one in measured),
    )


def _figures(measured: list[Measurement]) -> Figures:
    errors: Counter[str] = Counter()
    for one in measured:
        errors.update(one.errors)
    return Figures(
        workers=measured[0].workers,
        apart=measured[0].apart,
        requests_per_second=Spread.of([one.requests_per_second for one in measured]),
        cpu_ms=Spread.of([1e6 / one.requests_per_cpu_second for one in measured]),
        least_share=Spread.of([one.least_share for one in measured]),
        generator_cpu=median(one.generator_cpu or 0.0 for one in measured),
        errors=dict(errors),
    )


def _others(one: Measurement) -> float:
    """Return what else ran on either core, the greater share, in percent."""
    return max(one.server_core_others or 0, one.generator_core_others or 0)


def goal_lines(summaries: Sequence[Summary]) -> list[str]:
    """Say of each row whether a second worker is worth what it must be, and how that is known."""
    return [_goal_line(one) for one in summaries]


def _goal_line(one: Summary) -> str:
    line = f"goal: {one.row} with 2 workers at least {GOAL} x 1 worker: "
    met = "met" if one.ratio.median >= GOAL and not one.errors else "not met"
    doubts = ["the machine was not quiet"] * bool(one.disturbed)
    doubts += ["the generator was at its end"] * one.saturated
    doubt = f", but {' and '.join(doubts)}" if doubts else ""
    if one.apart:
        return f"{line}{met} ({one.ratio.median:.2f}){doubt}"
    return (
        f"{line}{met} ({one.ratio.median:.2f}) with the generator on the workers' cores, for there "
        f"are no others; {one.scaling.median:.2f} by CPU cost, derived{doubt}"
    )


_SHARED: Final = (
    "There are too few cores for two workers and a generator. So x 1 worker compares two cores",
    "with one, workers and generator on all of them: the generator's part of the work is in it.",
    "It also makes a worker's requests dearer, so that scaling by CPU cost is rather low.",
)


def describe(plan: Plan, layouts: Sequence[Layout], summaries: Sequence[Summary]) -> list[str]:
    """Return the lines that say how the numbers came about, and what was wrong."""
    lines = [
        f"Rounds: {plan.rounds} of {plan.seconds} s in each layout, in turns.",
        f"Generator: {plan.generator.name}, {plan.connections} connections; a Redis runs with it.",
        *(f"- {layout}." for layout in layouts),
        "A worker has one core, for both its threads; a second would do part of its work.",
        "CPU: processor time of all the server's processes, its starter among them.",
        "Lesser worker: its share of what both took of a processor, half at the best.",
        "Scaling by CPU cost: 2 x (requests per CPU second of two workers / of one alone). It is",
        "derived, not measured: what two workers are worth if each has a core to itself, and",
        "nothing but the price of a request holds them back.",
        "Shown: medians over the rounds (least-most); ratios are medians of those in a round.",
        f"Checked: every reply, those of the {WARM_UP_SECONDS} s warm-ups too.",
    ]
    if not layouts[-1].apart:
        lines += _SHARED
    lines += [f"{one.row}: {example}" for one in summaries for example in one.examples]
    if disturbed := [f"{one.row} in {one.disturbed}" for one in summaries if one.disturbed]:
        lines.append(
            "Measurements, of those that can tell, in which something else took "
            f"{DISTURBED:.0f} % of a core: {', '.join(disturbed)}. "
            "Measure again on a quiet machine."
        )
    return lines


def print_table(summaries: Sequence[Summary]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, [cells for one in summaries for cells in one.cells()])


def markdown_table(summaries: Sequence[Summary]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, [cells for one in summaries for cells in one.cells()])


def as_json(
    plan: Plan,
    layouts: Sequence[Layout],
    measured: Sequence[Measurement],
    summaries: Sequence[Summary],
) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all raw rounds."""
    return {
        **provenance(_PACKAGES, pinning="; ".join(str(layout) for layout in layouts)),
        "generator": plan.generator.name,
        "options": {
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "connections": plan.connections,
            "callbacks": plan.callbacks,
            "warm_up_seconds": WARM_UP_SECONDS,
            "timestamp_window": plan.timestamp_window,
        },
        "notes": describe(plan, layouts, summaries),
        "goals": goal_lines(summaries),
        "summary": [_plain(one) for one in summaries],
        "rounds": [asdict(one) for one in measured],
    }


_SPREADS: Final = ("requests_per_second", "cpu_ms", "least_share")


def _plain(one: Summary) -> dict[str, Any]:
    """Return a summary with the names of its tuples."""
    figures = [
        asdict(each) | {name: getattr(each, name)._asdict() for name in _SPREADS}
        for each in one.figures
    ]
    ratios = {"ratio": one.ratio._asdict(), "scaling": one.scaling._asdict()}
    return asdict(one) | {"figures": figures} | ratios


def summaries_of(document: dict[str, Any]) -> list[Summary]:
    """Return the summaries that as_json wrote down."""
    return [_summary_of(one) for one in document["summary"]]


def _summary_of(told: dict[str, Any]) -> Summary:
    figures = [
        Figures(**each | {name: Spread(**each[name]) for name in _SPREADS})
        for each in told["figures"]
    ]
    ratios = {name: Spread(**told[name]) for name in ("ratio", "scaling")}
    return Summary(**told | {"figures": figures} | ratios)
