"""What is told of a run: the table, the goal, and the JSON with every raw number."""

from collections import Counter
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from bench import table
from bench.latency.generator import ANSWER_WITHIN
from bench.latency.runner import (
    PROBE_CONNECTIONS,
    PROBE_SECONDS,
    WARM_UP_SECONDS,
    Measurement,
    Plan,
)
from bench.latency.ticks import TICK
from bench.load.cores import DISTURBED, SATURATED, UNSTEADY, Cores
from bench.load.report import Spread
from bench.load.servers import Row
from bench.percentiles import LEVELS
from bench.provenance import provenance

GOAL_MS: Final = 10.0
"""What the 99th percentile must be under."""

LATE_MS: Final = 1.0
"""Lag of the generator, at its 99th percentile, from which on it is what is measured."""

_PACKAGES: Final = (
    *("wechat-gateway", "granian", "litestar", "uvloop", "msgspec", "pycryptodome", "redis"),
)
_HEADINGS: Final = (
    "server",
    "throughput/s",
    "sent/s",
    *(f"{level} ms" for level in LEVELS),
    "errors",
    "lag p99",
    "server CPU",
    "sender CPU",
)
_SPREAD: Final = frozenset(("p50", "p99"))
"""Levels shown with what they lie between; the JSON has it for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row over all rounds."""

    row: str
    title: str
    setup: str
    throughput: Spread
    rate: Spread
    latency_ms: dict[str, Spread]
    lag_p99_ms: Spread
    generator_cpu: Spread
    server_cpu: float | None
    waited: int
    core_slowdown: float
    """How many times longer the server's core took at its slowest; median over the rounds."""
    checked: int
    errors: dict[str, int]
    examples: list[str]
    disturbed: int
    """Rounds in which something else had a share of a core that counts."""

    @property
    def late(self) -> bool:
        """Whether the generator was late so often that its own lag is much of what is shown."""
        return self.generator_cpu.most >= SATURATED or self.lag_p99_ms.median >= LATE_MS

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        errors = ", ".join(f"{count:,} {kind}" for kind, count in self.errors.items())
        return (
            self.title,
            f"{self.throughput.median:,.0f}",
            f"{self.rate.median:,.0f}",
            *(
                one.show(2) if level in _SPREAD else f"{one.median:,.2f}"
                for level, one in self.latency_ms.items()
            ),
            errors or "0",
            f"{self.lag_p99_ms.median:.2f} ms",
            "-" if self.server_cpu is None else f"{self.server_cpu:.0f} %",
            f"{self.generator_cpu.median:.0f} %",
        )


def summarise(rows: list[Row], measured: list[Measurement]) -> list[Summary]:
    """Return a summary per row, in the rows' order."""
    return [_summary(row, [one for one in measured if one.row == row.name]) for row in rows]


def _summary(row: Row, measured: list[Measurement]) -> Summary:
    errors: Counter[str] = Counter()
    for one in measured:
        errors.update(one.errors)
    server = [one.usage.server for one in measured if one.usage.server is not None]
    return Summary(
        row=row.name,
        title=row.title,
        setup=row.setup,
        throughput=Spread.of([one.throughput for one in measured]),
        rate=Spread.of([one.rate for one in measured]),
        latency_ms={
            level: Spread.of([one.latency_ms[level] for one in measured]) for level in LEVELS
        },
        lag_p99_ms=Spread.of([one.lag_ms["p99"] for one in measured]),
        generator_cpu=Spread.of([one.generator_cpu for one in measured]),
        server_cpu=median(server) if server else None,
        waited=sum(one.waited for one in measured),
        core_slowdown=round(median(one.core_slowdown for one in measured), 2),
        checked=sum(one.checked for one in measured),
        errors=dict(errors),
        examples=[example for one in measured for example in one.examples],
        disturbed=sum(_others(one) >= DISTURBED for one in measured),
    )


def _others(one: Measurement) -> float:
    """Return what else ran on either core, the greater share, in percent."""
    return max(one.usage.server_core_others or 0, one.usage.generator_core_others or 0)


def goal_lines(plan: Plan, summaries: list[Summary]) -> list[str]:
    """Say of each row whether it is as quick as it must be, and if that is in doubt."""
    return [_goal_line(plan, one) for one in summaries]


def _goal_line(plan: Plan, one: Summary) -> str:
    p99 = one.latency_ms["p99"].median
    doubts = ["the machine was not quiet"] * bool(one.disturbed)
    if one.core_slowdown >= UNSTEADY:
        doubts.append(f"the core itself was {one.core_slowdown:.2f} times slower at times")
    doubts += ["the generator was late"] * one.late
    doubt = f", but {' and '.join(doubts)}" if doubts else ""
    met = "met" if p99 < GOAL_MS and not one.errors else "not met"
    return f"goal: {one.row} p99 at {plan.share} % under {GOAL_MS:.0f} ms: {met} ({p99:.1f}){doubt}"


def describe(plan: Plan, cores: Cores, summaries: list[Summary]) -> list[str]:
    """Return the lines that say how the numbers came about, and what was wrong."""
    waited = sum(one.waited for one in summaries)
    lines = [
        f"Rounds: {plan.rounds} of {plan.seconds} s, {cores}.",
        f"Throughput: {PROBE_SECONDS} s of {plan.generator.name}, {PROBE_CONNECTIONS} connections.",
        f"Sent: {plan.share} % of that, each callback at a time fixed beforehand, answered or not.",
        "Latency is counted from that time: waits of any kind, the generator's too, are in it.",
        f"Connections: up to {plan.connections}; {waited:,} callbacks waited for one to be free.",
        "Lag: how late the generator itself was with the others.",
        f"Before each: {WARM_UP_SECONDS} s at that rate, whose times do not count.",
        "Shown: medians over the rounds (least-most); of each round, percentiles by nearest rank.",
        f"Checked: every one of {sum(one.checked for one in summaries):,} replies.",
    ]
    for one in summaries:
        lines.append(f"{one.title}: {one.setup}.")
        if one.late:
            lines.append(
                f"{one.row}: the generator was late itself (p99 {one.lag_p99_ms.median:.1f} ms; up "
                f"to {one.generator_cpu.most:.0f} % of its core), which is in the latencies."
            )
        lines += [f"{one.row}: {example}" for example in one.examples]
    if disturbed := [f"{one.row} in {one.disturbed}" for one in summaries if one.disturbed]:
        lines.append(
            f"Rounds in which something else took {DISTURBED:.0f} % of a core: "
            f"{', '.join(disturbed)}. Measure again on a quiet machine."
        )
    return lines


def print_table(summaries: list[Summary]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, [one.cells() for one in summaries])


def markdown_table(summaries: list[Summary]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, [one.cells() for one in summaries])


def as_json(
    plan: Plan, cores: Cores, measured: list[Measurement], summaries: list[Summary]
) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all raw rounds."""
    return {
        **provenance(_PACKAGES, pinning=str(cores)),
        "generator": plan.generator.name,
        "options": {
            "share": plan.share,
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "connections": plan.connections,
            "callbacks": plan.callbacks,
            "warm_up_seconds": WARM_UP_SECONDS,
            "probe_seconds": PROBE_SECONDS,
            "probe_connections": PROBE_CONNECTIONS,
            "timeout_seconds": ANSWER_WITHIN,
            "tick_seconds": TICK,
            "timestamp_window": plan.timestamp_window,
        },
        "goals": goal_lines(plan, summaries),
        "summary": [_named(asdict(one)) for one in summaries],
        "rounds": [_named(asdict(one)) for one in measured],
    }


def _named(value: Any) -> Any:
    """Return a result with the names of its tuples, and milliseconds to the microsecond."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _named(value._asdict())
    if isinstance(value, dict):
        return {name: _named(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_named(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value
