"""The gates: what they let pass, what they name, and how steady what they count is."""

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import environ
from pathlib import Path
from typing import Any

import pytest

from bench.gates import baseline, instructions
from bench.gates.__main__ import main
from bench.gates.figures import (
    INSTRUCTIONS,
    RATIOS,
    Figure,
    Gate,
    State,
    compare,
    not_comparable,
    verdict,
)
from bench.gates.ratios import AGAIN, RUNS, hold, measure, ratios_of, unsteady
from bench.gates.refusal import CannotRun
from bench.micro.report import read_rows
from bench.micro.sides import Side
from tests.bench.test_micro import benchmark

WHOLE = Figure("whole path", "wechatpy/compiled", 10.0)
COUNTED = Figure("receive", "instructions, pure", 100_000)


def told(was: Sequence[Figure], now: Sequence[Figure], gate: Gate = RATIOS) -> list[str]:
    """Return what is said of these figures."""
    return verdict(compare(was, now, gate))


def changed(figure: Figure, value: float) -> Figure:
    """Return the figure with another value."""
    return Figure(figure.row, figure.what, value, gated=figure.gated)


def test_a_ratio_that_lost_21_percent_fails_with_its_name_and_what_to_do() -> None:
    lines = told([WHOLE], [changed(WHOLE, 7.9)])
    assert lines[0] == (
        "whole path, wechatpy/compiled: was 10.00, is 7.90: -21.0 %, worse by more than the "
        '20 % allowed; if it is meant: make bench-baseline REASON="..."'
    )
    assert lines[1:] == ["gates: 1 failed, 0 held"]


@pytest.mark.parametrize("value", [8.1, 10.0, 30.0])
def test_a_ratio_that_lost_19_percent_or_nothing_passes(value: float) -> None:
    assert told([WHOLE], [changed(WHOLE, value)]) == ["gates: none failed, 1 held"]


def test_11_percent_more_instructions_fail() -> None:
    lines = told([COUNTED], [changed(COUNTED, 111_000)], INSTRUCTIONS)
    assert lines[0].startswith(
        "receive, instructions, pure: was 100,000, is 111,000: +11.0 %, worse by more than the 10 %"
    )
    assert lines[-1] == "gates: 1 failed, 0 held"


@pytest.mark.parametrize("value", [109_000, 50_000])
def test_9_percent_more_instructions_or_fewer_pass(value: float) -> None:
    lines = told([COUNTED], [changed(COUNTED, value)], INSTRUCTIONS)
    assert lines == ["gates: none failed, 1 held"]


def test_a_row_that_was_not_measured_fails() -> None:
    """Else a gate would be passed by removing what it looks at."""
    lines = told([WHOLE, COUNTED], [COUNTED])
    assert lines[0].startswith(
        "whole path, wechatpy/compiled: is in the baseline, but was not measured"
    )
    assert lines[-1] == "gates: 1 failed, 1 held"


def test_a_row_that_the_baseline_does_not_have_fails_and_asks_for_a_renewal() -> None:
    lines = told([WHOLE], [WHOLE, COUNTED])
    assert lines[0] == (
        'receive, instructions, pure: is not in the baseline: make bench-baseline REASON="..."'
    )
    assert lines[-1] == "gates: 1 failed, 1 held"


def test_a_figure_that_is_not_gated_may_lose_all_it_has_but_must_be_there() -> None:
    short = Figure("pad", "pure/compiled", 4.0, gated=False)
    [finding] = compare([short], [changed(short, 0.1)], RATIOS)
    assert (finding.state, finding.failed, finding.change) == (State.NOT_GATED, False, "-97.5 %")
    assert compare([short], [], RATIOS)[0].failed


def test_counts_of_another_environment_hold_nothing_up_and_are_shown() -> None:
    findings = compare([COUNTED], [changed(COUNTED, 900_000)], INSTRUCTIONS)
    [finding] = not_comparable(findings)
    assert not finding.failed
    assert finding.cells()[-3:] == ("900,000", "+800.0 %", "not comparable")
    assert verdict([finding]) == ["gates: none failed, 0 held"]


def test_environments_differ_by_what_is_not_the_same_in_both() -> None:
    here = {"python": "CPython 3.11.7", "machine": "x86_64"}
    assert instructions.differences(here, dict(here)) == []
    there = {"python": "CPython 3.12.1", "machine": "x86_64", "openssl": "OpenSSL 3"}
    assert instructions.differences(here, there) == ["python", "openssl"]


def timings(compiled: float, pure: float) -> dict[str, Any]:
    """Return a report of two rows, their times in seconds; wechatpy's is 60 us."""
    return {
        "benchmarks": [
            benchmark("whole path", "compiled", compiled),
            benchmark("whole path", "pure", pure),
            benchmark("whole path", "wechatpy", 60e-6),
            benchmark("pad", "compiled", 0.05e-6),
            benchmark("pad", "pure", 0.25e-6),
        ]
    }


class Times:
    """Reports in the order in which they are asked for, and which tests each was of."""

    def __init__(self, *reports: dict[str, Any]) -> None:
        self.reports = list(reports)
        self.asked: list[list[str]] = []

    def __call__(self, tests: Sequence[str]) -> dict[str, Any]:
        """Return the next report."""
        self.asked.append(list(tests))
        return self.reports.pop(0)


QUIET = timings(10e-6, 24e-6)
BUSY = timings(14e-6, 24e-6)
BASELINE = ratios_of(read_rows(QUIET))


def test_ratios_are_those_of_least_times_and_short_steps_are_not_gated() -> None:
    assert {(one.row, one.what): (round(one.value, 3), one.gated) for one in BASELINE} == {
        ("whole path", "pure/compiled"): (2.4, True),
        ("whole path", "wechatpy/compiled"): (6.0, True),
        ("whole path", "wechatpy/pure"): (2.5, True),
        ("pad", "pure/compiled"): (5.0, False),
    }


def test_only_rows_that_lost_are_timed_again_and_their_best_run_counts() -> None:
    times = Times(BUSY, timings(13e-6, 25e-6), timings(9.9e-6, 26e-6))
    held = hold(BASELINE, times)
    assert [len(tests) for tests in times.asked] == [0, 3, 3]
    assert all("whole path" in test for test in times.asked[1])
    assert verdict(compare(BASELINE, held, RATIOS)) == ["gates: none failed, 3 held"]
    assert {one.what: round(one.value, 2) for one in held if one.row == "whole path"} == {
        "pure/compiled": 2.63,
        "wechatpy/compiled": 6.06,
        "wechatpy/pure": 2.5,
    }


def test_what_is_slow_in_every_run_fails() -> None:
    times = Times(*[BUSY] * (1 + AGAIN))
    lines = verdict(compare(BASELINE, hold(BASELINE, times), RATIOS))
    assert not times.reports
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        "whole path, pure/compiled",
        "whole path, wechatpy/compiled",
    ]


def test_a_baseline_is_the_median_of_its_runs_and_one_busy_run_changes_nothing() -> None:
    made = measure(Times(*[QUIET] * (RUNS - 1), timings(40e-6, 24e-6)))
    assert [(one.value, one.gated, one.spread) for one in made] == [
        (one.value, one.gated, 0.0) for one in BASELINE
    ]


def test_a_baseline_whose_runs_differ_by_what_a_gate_allows_is_said_to_be_unsteady() -> None:
    moving = [timings(10e-6, 24e-6 * (1 + number / 8)) for number in range(RUNS)]
    [line] = unsteady(measure(Times(*moving)))
    assert "whole path, pure/compiled (by 22 %)" in line
    assert "wechatpy/compiled" not in line
    assert unsteady(measure(Times(*[QUIET] * RUNS))) == []


@pytest.mark.compiled
@pytest.mark.skipif(
    shutil.which("valgrind") is None and "CI" not in environ, reason="valgrind is not installed"
)
def test_instructions_of_the_compiled_kernels_are_the_same_within_a_percent_each_time() -> None:
    with ThreadPoolExecutor(2) as both:
        counts = [both.submit(counted) for _ in range(2)]
        first, second = ({one.row: one.value for one in count.result()} for count in counts)
    assert first["whole path"] > first["receive"] > first["unpad"] > 100
    assert second == {row: pytest.approx(value, rel=0.01) for row, value in first.items()}


def counted() -> list[Figure]:
    """Count once more."""
    return instructions.count(Side.COMPILED)


def test_the_committed_baseline_is_read_and_says_why_it_is_as_it_is() -> None:
    """Whether it is the code's is for the gates themselves to say."""
    committed = baseline.load(baseline.PATH)
    assert committed.reason
    assert any(one.row == "whole path" and one.gated for one in committed.ratios)
    assert {one.what for one in committed.instructions} == {
        "instructions, compiled",
        "instructions, pure",
        "instructions, shared",
    }


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = baseline.make("a test", BASELINE, [COUNTED], {"machine": "x86_64"})
    baseline.save(made, tmp_path / "baseline.json")
    assert baseline.load(tmp_path / "baseline.json") == made
    assert json.loads((tmp_path / "baseline.json").read_text())["options"]["runs"] == RUNS


@pytest.mark.parametrize("text", [None, "{}", "no JSON"])
def test_what_is_no_baseline_cannot_be_held_to(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "baseline.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CannotRun, match=r"baseline\.json"):
        baseline.load(file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--renew"], "--renew needs --reason"),
        (["--renew", "--reason", " "], "--renew needs --reason"),
        (["--renew", "--reason", "x", "--only", "ratios"], "leave --only out"),
        (["--reason", "x"], "--reason goes with --renew"),
        (["--only", "luck"], "invalid choice: 'luck'"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_what_is_wrong(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.compiled
def test_without_a_baseline_the_command_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--baseline", str(tmp_path / "none.json")]) == 2
    assert "bench.gates --renew --reason" in capsys.readouterr().err


@pytest.mark.compiled
def test_in_ci_the_absence_of_valgrind_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    assert "apt install valgrind" in capsys.readouterr().err
