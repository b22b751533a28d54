"""What is told of a run: the table, the goal, and the JSON with every raw number."""

import shutil
import subprocess
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final, NamedTuple

from bench import table
from bench.load.cores import DISTURBED, SATURATED, Cores
from bench.load.runner import WARM_UP_SECONDS, Measurement, Plan
from bench.load.servers import CEILING, FASTAPI, GATEWAY, ROWS, Row
from bench.provenance import provenance

GOALS: Final = (
    (GATEWAY, FASTAPI, 7.0),
    (GATEWAY, CEILING, 0.8),
    ("gateway-redis", FASTAPI, 4.0),
    ("background-redis", FASTAPI, 4.5),
    ("gateway-sqlite", FASTAPI, 3.0),
    ("background-sqlite", FASTAPI, 3.0),
)
"""How many times the throughput of another row a row must reach."""

_PACKAGES: Final = (
    "wechat-gateway",
    "granian",
    "litestar",
    "uvloop",
    "msgspec",
    "pycryptodome",
    "wechatpy",
    "cryptography",
    "xmltodict",
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
    "httptools",
    "flask",
    "werkzeug",
    "gunicorn",
)
_HEADINGS: Final = (
    "server",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "errors",
    "x FastAPI",
    "x ceiling",
    "server CPU",
    "generator CPU",
)


class Spread(NamedTuple):
    """A median over the rounds, with what it lies between."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))

    def show(self, places: int) -> str:
        """Write it as `median (least-most)`."""
        return f"{self.median:,.{places}f} ({self.least:,.{places}f}-{self.most:,.{places}f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row over all rounds; ratios are taken within each round."""

    row: str
    title: str
    setup: str
    requests_per_second: Spread
    p50_ms: Spread
    p99_ms: Spread
    checked: int
    errors: dict[str, int]
    examples: list[str]
    times_fastapi: float | None
    times_ceiling: float | None
    server_cpu: float | None
    generator_cpu: float | None
    generator_saturated: bool
    others: list[float]
    """What else ran on either core, the greater share of each round, in percent."""

    @property
    def disturbed(self) -> int:
        """Rounds in which something else had a share of a core that counts."""
        return sum(share >= DISTURBED for share in self.others)

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        errors = ", ".join(f"{count:,} {kind}" for kind, count in self.errors.items())
        saturated = " (saturated)" if self.generator_saturated else ""
        return (
            self.title,
            self.requests_per_second.show(0),
            self.p50_ms.show(2),
            self.p99_ms.show(2),
            errors or "0",
            _optional(self.times_fastapi, "{:.2f}"),
            _optional(self.times_ceiling, "{:.2f}"),
            _optional(self.server_cpu, "{:.0f} %"),
            _optional(self.generator_cpu, "{:.0f} %") + saturated,
        )


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def summarise(rows: list[Row], measured: list[Measurement]) -> list[Summary]:
    """Return a summary per row, in the rows' order."""
    rates = {(one.row, one.round): one.requests_per_second for one in measured}
    return [_summary(row, [one for one in measured if one.row == row.name], rates) for row in rows]


def _summary(row: Row, measured: list[Measurement], rates: dict[tuple[str, int], float]) -> Summary:
    errors: dict[str, int] = {}
    for one in measured:
        for kind, count in one.errors.items():
            errors[kind] = errors.get(kind, 0) + count

    def times(other: str) -> float | None:
        ratios = [
            one.requests_per_second / rate
            for one in measured
            if (rate := rates.get((other, one.round)))
        ]
        return median(ratios) if ratios else None

    generator_cpus = [one.generator_cpu for one in measured if one.generator_cpu is not None]
    server_cpus = [one.server_cpu for one in measured if one.server_cpu is not None]
    return Summary(
        row=row.name,
        title=row.title,
        setup=row.setup,
        requests_per_second=Spread.of([one.requests_per_second for one in measured]),
        p50_ms=Spread.of([one.p50_ms for one in measured]),
        p99_ms=Spread.of([one.p99_ms for one in measured]),
        checked=sum(one.checked for one in measured),
        errors=errors,
        examples=[example for one in measured for example in one.examples],
        times_fastapi=times(FASTAPI),
        times_ceiling=times(CEILING),
        server_cpu=median(server_cpus) if server_cpus else None,
        generator_cpu=median(generator_cpus) if generator_cpus else None,
        generator_saturated=any(cpu >= SATURATED for cpu in generator_cpus),
        others=[
            max(one.server_core_others or 0, one.generator_core_others or 0) for one in measured
        ],
    )


def goal_lines(summaries: list[Summary]) -> list[str]:
    """Say of each row with a goal whether it is as fast as it must be, and if that is in doubt."""
    by_row = {one.row: one for one in summaries}
    return [_goal_line(row, other, goal, by_row) for row, other, goal in GOALS]


def _goal_line(row: str, other: str, goal: float, by_row: dict[str, Summary]) -> str:
    line = f"goal: {row} at least {goal} x {ROWS[other].title}: "
    measured, compared = by_row.get(row), by_row.get(other)
    if measured is None or compared is None:
        return f"{line}not measured"
    times = measured.times_fastapi if other == FASTAPI else measured.times_ceiling
    if times is None:
        return f"{line}not measured"
    doubt = ", but the machine was not quiet" if measured.disturbed or compared.disturbed else ""
    met = "met" if times >= goal else "not met"
    return f"{line}{met} ({times:.2f}){doubt}"


def describe(plan: Plan, cores: Cores, summaries: list[Summary]) -> list[str]:
    """Return the lines that say how the numbers came about, and what was wrong."""
    checked = sum(one.checked for one in summaries)
    lines = [
        f"Rounds: {plan.rounds} of {plan.seconds} s, {plan.connections} connections, {cores}.",
        f"Sent: {plan.callbacks:,} distinct safe-mode text callbacks, none of them seen before.",
        f"Generator: {plan.generator.name}.",
        "Shown: medians over the rounds (least-most); ratios are medians of those in a round.",
        f"Checked: every one of {checked:,} replies, those of the warm-ups too.",
        "- In timed runs: its signature, and that it is the echo of what its receiver sent.",
        f"- In warm-ups, {WARM_UP_SECONDS} s from Python: also that it answers its own request.",
    ]
    if plan.generator.name == "wrk":
        lines.append("Percentiles are wrk's, corrected for coordinated omission.")
    lines += [f"{one.title}: {one.setup}." for one in summaries]
    for one in summaries:
        if one.generator_saturated:
            lines.append(
                f"{one.row}: the generator took {SATURATED:.0f} % of its core or more: "
                "the server may be faster than shown."
            )
        lines += [f"{one.row}: {example}" for example in one.examples]
    if disturbed := [one for one in summaries if one.disturbed]:
        where = ", ".join(
            f"{one.row} in {one.disturbed} (up to {max(one.others):.0f} %)" for one in disturbed
        )
        lines.append(f"Rounds in which something else took {DISTURBED:.0f} % of a core: {where}.")
        lines.append("Measure again on a quiet machine.")
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
        "generator": _generator_version(plan.generator.name),
        "options": {
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "connections": plan.connections,
            "callbacks": plan.callbacks,
            "warm_up_seconds": WARM_UP_SECONDS,
            "timestamp_window": plan.timestamp_window,
        },
        "notes": describe(plan, cores, summaries),
        "goals": goal_lines(summaries),
        "summary": [
            asdict(one)
            | {
                name: getattr(one, name)._asdict()
                for name in ("requests_per_second", "p50_ms", "p99_ms")
            }
            for one in summaries
        ],
        "rounds": [asdict(one) for one in measured],
    }


def _generator_version(name: str) -> str:
    if name != "wrk" or shutil.which("wrk") is None:
        return name
    # It prints its version and leaves with an error, for it was given no address.
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False, timeout=5)
    return told.stdout.partition(" [")[0] or name


def summaries_of(document: dict[str, Any]) -> list[Summary]:
    """Return the summaries that as_json wrote down."""
    return [
        Summary(
            **one
            | {name: Spread(**one[name]) for name in ("requests_per_second", "p50_ms", "p99_ms")}
        )
        for one in document["summary"]
    ]
