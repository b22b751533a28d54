"""What it costs to be seen: what is compared with what, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.telemetry.__main__ import main
from bench.telemetry.report import describe, errors_of, goal_lines, markdown_table
from bench.telemetry.rows import METRICS, OFF, TAIL, TRACES_1, TRACES_100, rows

NAMES = (OFF, METRICS, TRACES_1, TRACES_100, TAIL)


def turn(row: str, number: int, rate: float, cpu_us: float | None = 40.0) -> dict[str, Any]:
    """Return a made-up turn."""
    return {
        "row": row,
        "round": number,
        "requests_per_second": rate,
        "cpu_us": cpu_us,
        "p99_ms": 5.0,
        "others": 0.0,
        "errors": {},
        "examples": [],
    }


def document(*turns: dict[str, Any]) -> dict[str, Any]:
    """Return what a run wrote down."""
    told = [{"name": one.name, "title": one.title, "setup": one.setup} for one in rows("http://x")]
    return {
        "rows": told,
        "turns": [*turns],
        "spans": {name: {} for name in NAMES} | {TRACES_1: {"exported": 1200, "dropped": 7}},
        "options": {"rounds": 2, "starts": 1, "seconds": 4, "connections": 64},
        "generator": "wrk",
        "machine": {"pinning": "not pinned"},
    }


def rounds(shares: dict[str, float], cpu: dict[str, float]) -> dict[str, Any]:
    """Return a run of two rounds, one on a fast machine and one on a slow one."""
    return document(
        *(
            turn(name, number, 20_000 * speed * shares.get(name, 1), 40 / speed * cpu.get(name, 1))
            for number, speed in ((1, 1.0), (2, 0.4))
            for name in NAMES
        )
    )


def test_rows_are_compared_within_a_round_however_fast_the_machine_is() -> None:
    told = rounds({METRICS: 0.98, TRACES_1: 0.96}, {METRICS: 1.02, TRACES_1: 1.04})
    assert goal_lines(told) == [
        "goal: metrics costs at most 3% of the throughput: met (2.0%, by CPU time 2.0%)",
        "goal: traces-1 costs at most 5% of the throughput: met (4.0%, by CPU time 3.8%)",
    ]
    line = markdown_table(told).splitlines()[4]
    assert "| metrics, 1 % traced |" in line
    assert "| 0.960 (0.960-0.960) |" in line
    assert "| 1,200 | 7 | 0 |" in line


def test_a_goal_is_met_where_both_ways_to_measure_say_so() -> None:
    lines = goal_lines(rounds({}, {METRICS: 1.2}))
    assert ["not met" in line for line in lines] == [True, False]
    lines = goal_lines(rounds({TRACES_1: 0.9}, {}))
    assert ["not met" in line for line in lines] == [False, True]


def test_what_is_wrong_or_was_disturbed_is_told() -> None:
    told = rounds({}, {})
    told["turns"][1]["errors"] = {"non-200": 2}
    told["turns"][2]["others"] = 30.0
    assert errors_of(told) == 2
    assert "2 non-200" in markdown_table(told)
    assert "In 1 of 10 turns something else took 10 % or more" in describe(told)[-1]


@pytest.mark.compiled
def test_the_command_measures_each_row_and_what_is_sampled_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "telemetry.json"
    short = ["--rounds", "1", "--starts", "1", "--generator", "python", "--callbacks", "150000"]
    assert main([*short, "--json", str(file), "--markdown"]) == 0
    found = json.loads(file.read_text())
    assert {one["row"] for one in found["turns"]} == {*NAMES}
    assert all(one["errors"] == {} and one["requests_per_second"] > 0 for one in found["turns"])
    assert found["spans"][TRACES_100]["exported"] > found["spans"][TRACES_1]["exported"] > 0
    assert found["spans"][OFF] == found["spans"][METRICS] == {}
    assert "| nothing |" in capsys.readouterr().out


@pytest.mark.compiled
def test_callbacks_that_a_gateway_would_know_already_end_the_run_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--callbacks", "100", "--rounds", "1", "--starts", "1", "--generator", "python"]
    assert main([*few, "--json", str(tmp_path / "telemetry.json")]) == 2
    told = capsys.readouterr().err
    assert "had all callbacks already; give more: --callbacks" in told
