"""The report of the timings, from a small report of pytest-benchmark."""

from typing import Any

import pytest

from bench.micro.report import as_json, describe, goal_lines, markdown_table, read_rows, unmet_goals


def benchmark(row: str, side: str, best: float) -> dict[str, Any]:
    """Return what a report has of one side of a row, timed in seconds."""
    return {
        "group": row,
        "name": f"test_{row}[{side}]",
        "fullname": f"bench/micro/test_made_up.py::test_{row}[{side}]",
        "extra_info": {"side": side},
        "stats": {"median": best * 2, "min": best, "rounds": 3, "data": [best] * 3},
    }


def _report(compiled: float = 5e-6, pure: float = 24e-6) -> dict[str, Any]:
    """Make a report in which wechatpy takes 60 us for the whole path; times in seconds."""
    return {
        "machine_info": {
            "node": "a-name-of-no-interest",
            "machine": "x86_64",
            "system": "Linux",
            "release": "6.1",
            "python_implementation": "CPython",
            "python_version": "3.11.0",
            "cpu": {"brand_raw": "A Processor", "count": 2},
        },
        "datetime": "2025-01-01T00:00:00+00:00",
        "benchmarks": [
            benchmark("pad", "compiled", 0.1e-6),
            benchmark("pad", "pure", 0.4e-6),
            benchmark("pad", "wechatpy", 0.3e-6),
            benchmark("parse_query", "shared", 2e-6),
            benchmark("whole path", "compiled", compiled),
            benchmark("whole path", "pure", pure),
            benchmark("whole path", "wechatpy", 60e-6),
        ],
    }


def test_a_row_holds_its_sides_and_ratios_of_their_least_times() -> None:
    """A ratio below 1 says that wechatpy is the faster one."""
    assert markdown_table(read_rows(_report())).splitlines()[2:] == [
        "| pad | 0.10 | 0.40 | 0.30 | 3.00 | 0.75 |",
        "| parse_query | 2.00 | 2.00 | - | - | - |",
        "| whole path | 5.00 | 24.00 | 60.00 | 12.00 | 2.50 |",
    ]


def test_goals_that_are_reached_are_met() -> None:
    rows = read_rows(_report())
    assert unmet_goals(rows) == []
    assert goal_lines(rows) == [
        "whole path compiled: 12.0 x wechatpy (goal 12): met",
        "pure: 2.5 x wechatpy (goal 2.5): met",
    ]


def test_a_goal_that_is_nearly_reached_is_not_met_and_not_rounded_up() -> None:
    rows = read_rows(_report(compiled=60e-6 / 11.97, pure=60e-6 / 2.46))
    assert unmet_goals(rows) == ["compiled", "pure"]
    assert goal_lines(rows) == [
        "whole path compiled: 11.9 x wechatpy (goal 12): not met",
        "pure: 2.4 x wechatpy (goal 2.5): not met",
    ]


def test_what_was_not_timed_is_said_and_meets_no_goal() -> None:
    """Where the kernels are not built, there are no tests of compiled ones."""
    report = _report()
    report["benchmarks"] = [
        one for one in report["benchmarks"] if one["extra_info"]["side"] != "compiled"
    ]
    rows = read_rows(report)
    assert markdown_table(rows).splitlines()[2] == "| pad | - | 0.40 | 0.30 | - | 0.75 |"
    assert unmet_goals(rows) == ["compiled"]
    assert goal_lines(rows)[0] == "whole path compiled: not measured (goal 12)"


def test_the_json_holds_all_statistics_but_neither_rounds_nor_the_machine_s_name() -> None:
    report = _report()
    document = as_json(report, read_rows(report), "cryptography")
    assert document["machine"] == {"cpu": "A Processor", "cores": 2, "kernel": "Linux 6.1"}
    assert document["versions"]["wechatpy"]
    whole = document["rows"][-1]
    assert whole["wechatpy/compiled"] == pytest.approx(12)
    assert whole["sides"]["pure"] == {"median": 48e-6, "min": 24e-6, "rounds": 3}
    assert "a-name-of-no-interest" not in str(document)


def test_the_output_says_what_does_wechatpy_s_aes() -> None:
    assert "wechatpy's AES is cryptography's" in "\n".join(describe(_report(), "cryptography"))
