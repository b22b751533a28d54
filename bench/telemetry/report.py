"""What is told of a run: the table, whether it costs too much, and the JSON."""

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from bench import table
from bench.load.cores import DISTURBED
from bench.load.report import Spread
from bench.provenance import provenance
from bench.telemetry.rows import GOALS, OFF
from bench.telemetry.runner import Plan, Run

_PACKAGES: Final = (
    *("wechat-gateway", "granian", "uvloop", "msgspec", "opentelemetry-sdk", "prometheus-client"),
    "opentelemetry-exporter-otlp-proto-http",
)
_HEADINGS: Final = (
    *("seen by", "requests/s", "x nothing", "CPU us each", "x nothing", "p99 ms"),
    *("spans exported", "dropped", "errors"),
)

_Turns = dict[str, list[dict[str, Any]]]


def as_json(plan: Plan, run: Run) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all turns."""
    return {
        **provenance(_PACKAGES, pinning=str(run.cores)),
        "generator": plan.generator.name,
        "options": {
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "starts": plan.starts,
            "connections": plan.connections,
            "callbacks": plan.callbacks,
        },
        "rows": [{"name": row.name, "title": row.title, "setup": row.setup} for row in run.rows],
        "turns": [asdict(turn) for turn in run.turns],
        "spans": run.spans,
    }


def print_table(document: dict[str, Any]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, _rows(document))


def markdown_table(document: dict[str, Any]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, _rows(document))


def goal_lines(document: dict[str, Any]) -> list[str]:
    """Say of each row with a goal what it costs, by throughput and by CPU time."""
    turns = _by_row(document)
    lines = []
    for row, most in GOALS.items():
        costs = [1 - _ratio(turns, row, "requests_per_second").median]
        if turns[row][0]["cpu_us"] is not None:
            costs.append(1 - 1 / _ratio(turns, row, "cpu_us").median)
        met = "met" if max(costs) <= most else "not met"
        told = ", by CPU time ".join(f"{cost:.1%}" for cost in costs)
        lines.append(f"goal: {row} costs at most {most:.0%} of the throughput: {met} ({told})")
    return lines


def describe(document: dict[str, Any]) -> list[str]:
    """Return the lines that say how the numbers came about."""
    options = document["options"]
    lines = [
        f"{options['starts']} starts of all servers, {options['rounds']} rounds behind each, of",
        f"{options['seconds']} s of each row in its turn,",
        f"{options['connections']} connections, {document['generator']};",
        f"{document['machine']['pinning']}. All servers run all the time.",
        "Each answers distinct safe-mode texts with their echo, deduped in the process: the",
        "cheapest callback there is, so that what is added is the greatest share of it.",
        "Spans are exported each half second, those of a turn's end behind it.",
        "Ratios are medians of those in a round (least-most). Every reply was checked.",
    ]
    others = [turn["others"] for turn in document["turns"]]
    if others and max(others) >= DISTURBED:
        busy = sum(share >= DISTURBED for share in others)
        lines.append(
            f"In {busy} of {len(others)} turns something else took {DISTURBED:.0f} % or more of "
            f"the servers' core, {max(others):.0f} % at most: measure again on a quiet machine."
        )
    return lines


def errors_of(document: dict[str, Any]) -> int:
    """Return how many replies were wrong or missing."""
    return sum(sum(turn["errors"].values()) for turn in document["turns"])


def _rows(document: dict[str, Any]) -> list[tuple[str, ...]]:
    turns = _by_row(document)
    return [
        (
            row["title"],
            Spread.of([turn["requests_per_second"] for turn in turns[row["name"]]]).show(0),
            _ratio(turns, row["name"], "requests_per_second").show(3),
            *_cpu(turns, row["name"]),
            Spread.of([turn["p99_ms"] for turn in turns[row["name"]]]).show(1),
            f"{document['spans'][row['name']].get('exported', 0):,}",
            f"{document['spans'][row['name']].get('dropped', 0):,}",
            _errors(turns[row["name"]]),
        )
        for row in document["rows"]
    ]


def _cpu(turns: _Turns, row: str) -> tuple[str, str]:
    if any(turn["cpu_us"] is None for turn in turns[row]):
        return "-", "-"
    spread = Spread.of([turn["cpu_us"] for turn in turns[row]])
    return spread.show(1), _ratio(turns, row, "cpu_us").show(3)


def _errors(turns: list[dict[str, Any]]) -> str:
    every: Counter[str] = Counter()
    for turn in turns:
        every.update(turn["errors"])
    return ", ".join(f"{count:,} {kind}" for kind, count in every.items()) or "0"


def _by_row(document: dict[str, Any]) -> _Turns:
    turns: _Turns = {row["name"]: [] for row in document["rows"]}
    for turn in document["turns"]:
        turns[turn["row"]].append(turn)
    return turns


def _ratio(turns: _Turns, row: str, what: str) -> Spread:
    """Return how a row compares with OFF, round by round."""
    off = {turn["round"]: turn[what] for turn in turns[OFF]}
    return Spread.of([turn[what] / off[turn["round"]] for turn in turns[row]])
