"""What is told of a run: the table, the goals, and the JSON with every statistic.

Times are in seconds in pytest-benchmark's report and in the JSON, in microseconds in the table.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any, Final

from bench import table
from bench.micro.sides import SIDE, WHOLE_PATH, Side
from bench.versions import versions_of

GOALS: Final = {Side.COMPILED: 12.0, Side.PURE: 2.5}
"""How many times as fast as wechatpy the whole path must be."""

_PACKAGES: Final = (
    "wechat-gateway",
    "msgspec",
    "pycryptodome",
    "wechatpy",
    "cryptography",
    "xmltodict",
    "pytest-benchmark",
)
_HEADINGS: Final = (
    "row",
    "compiled us",
    "pure us",
    "wechatpy us",
    "wechatpy/compiled",
    "wechatpy/pure",
)
Stats = dict[str, Any]
"""pytest-benchmark's statistics of one side of a row: ``median``, ``min``, ``rounds``, ..."""


@dataclass(frozen=True, slots=True)
class Row:
    """One step, and what each side took for it."""

    name: str
    sides: dict[Side, Stats] = field(default_factory=dict)

    def best(self, side: Side) -> float | None:
        """Return a side's least time in seconds; code that uses no kernel counts for both."""
        stats = self.sides.get(side)
        if stats is None and side in GOALS:
            stats = self.sides.get(Side.SHARED)
        return None if stats is None else float(stats["min"])

    def ratio(self, side: Side) -> float | None:
        """Return how many times as fast as wechatpy a side is, or None if one was not timed."""
        own, other = self.best(side), self.best(Side.WECHATPY)
        return None if own is None or other is None else other / own

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        times = [self.best(side) for side in (*GOALS, Side.WECHATPY)]
        return (
            self.name,
            *("-" if best is None else f"{best * 1e6:.2f}" for best in times),
            *("-" if (ratio := self.ratio(side)) is None else f"{ratio:.2f}" for side in GOALS),
        )


def read_rows(report: dict[str, Any]) -> list[Row]:
    """Return the rows of a pytest-benchmark report, in the order in which they were timed."""
    rows: dict[str, Row] = {}
    for one in report["benchmarks"]:
        row = rows.setdefault(one["group"], Row(one["group"]))
        row.sides[Side(one["extra_info"][SIDE])] = {
            name: value for name, value in one["stats"].items() if name != "data"
        }
    return list(rows.values())


def unmet_goals(rows: Sequence[Row]) -> list[Side]:
    """Return the implementations that are not as fast as they must be, or were not timed."""
    ratios = _whole_path_ratios(rows)
    return [side for side, goal in GOALS.items() if (ratios[side] or 0) < goal]


def goal_lines(rows: Sequence[Row]) -> list[str]:
    """Say of each implementation whether its whole path is as fast as it must be."""
    ratios, unmet = _whole_path_ratios(rows), unmet_goals(rows)
    lines = []
    for side, goal in GOALS.items():
        who = f"whole path {side}" if side is Side.COMPILED else str(side)
        ratio = ratios[side]
        if ratio is None:
            lines.append(f"{who}: not measured (goal {goal:g})")
            continue
        # Rounded down, or 5.96 would read as a goal of 6 that 6.0 does not meet.
        times = f"{floor(ratio * 10) / 10:.1f} x wechatpy"
        lines.append(f"{who}: {times} (goal {goal:g}): {'not met' if side in unmet else 'met'}")
    return lines


def _whole_path_ratios(rows: Sequence[Row]) -> dict[Side, float | None]:
    whole = next((row for row in rows if row.name == WHOLE_PATH), Row(WHOLE_PATH))
    return {side: whole.ratio(side) for side in GOALS}


def describe(report: dict[str, Any], aes_of_wechatpy: str) -> list[str]:
    """Return the lines that say how the numbers came about."""
    machine = report["machine_info"]
    versions = versions_of(_PACKAGES)
    installed = ", ".join(f"{name} {which}" for name, which in versions.items() if which)
    return [
        f"{_cpu(machine)}, {machine['python_implementation']} {machine['python_version']}.",
        f"{installed}.",
        f"wechatpy's AES is {aes_of_wechatpy}'s; its XML reader is expat, by xmltodict.",
        "Least times: what other programs take from the machine only ever adds to one.",
        "Code that uses no kernel stands in both columns; - is a step a side has not.",
    ]


def print_table(rows: Sequence[Row]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, [one.cells() for one in rows])


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, [one.cells() for one in rows])


def as_json(report: dict[str, Any], rows: Sequence[Row], aes_of_wechatpy: str) -> dict[str, Any]:
    """Return everything but the single rounds: the machine, the versions, all statistics."""
    machine = report["machine_info"]
    return {
        "date": report["datetime"],
        "machine": {
            "cpu": _cpu(machine),
            "cores": machine.get("cpu", {}).get("count"),
            "kernel": f"{machine['system']} {machine['release']}",
        },
        "python": sys.version,
        "versions": versions_of(_PACKAGES),
        "wechatpy_aes": aes_of_wechatpy,
        "notes": describe(report, aes_of_wechatpy),
        "goals": goal_lines(rows),
        "unit": "seconds",
        "rows": [
            {
                "row": row.name,
                "wechatpy/compiled": row.ratio(Side.COMPILED),
                "wechatpy/pure": row.ratio(Side.PURE),
                "sides": {str(side): stats for side, stats in row.sides.items()},
            }
            for row in rows
        ],
    }


def rows_of(document: dict[str, Any]) -> list[Row]:
    """Return the rows that as_json wrote down."""
    return [
        Row(one["row"], {Side(side): stats for side, stats in one["sides"].items()})
        for one in document["rows"]
    ]


def _cpu(machine: dict[str, Any]) -> str:
    return str(machine.get("cpu", {}).get("brand_raw") or machine["machine"])
