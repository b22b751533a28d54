"""One worker beside two: what is compared with what, and what is said of it."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.load.generator import LoadError
from bench.load.python_generator import PythonGenerator
from bench.workers.__main__ import main
from bench.workers.layout import Layout, kept_to, layouts_for
from bench.workers.report import as_json, goal_lines, markdown_table, summaries_of, summarise
from bench.workers.runner import Measurement, Plan, ProcessClock

PLAN = Plan(rows=["gateway"], generator=PythonGenerator(), rounds=2)


def measurement(
    number: int, workers: int, rate: float, cpu_ms: float, *, apart: bool
) -> Measurement:
    """A made-up measurement of a second, with the server's CPU milliseconds per 1,000 requests."""
    cpu = rate * cpu_ms / 1e6
    return Measurement(
        row="gateway",
        workers=workers,
        round=number,
        apart=apart,
        requests=int(rate),
        seconds=1,
        requests_per_second=rate,
        cpu_seconds=cpu,
        worker_cpu_seconds=[0.6 * cpu, 0.4 * cpu][:workers],
        generator_cpu=50,
        server_core_others=0,
        generator_core_others=0,
        checked=int(rate),
        errors={},
        examples=[],
    )


def on_three_cores(number: int, slow: float = 1) -> list[Measurement]:
    """A round of a machine where the generator is apart."""
    return [
        measurement(number, 1, 10_000 * slow, 80, apart=True),
        measurement(number, 2, 19_000 * slow, 90, apart=True),
    ]


def on_two_cores(number: int) -> list[Measurement]:
    """A round of a machine where two workers leave no core to the generator."""
    return [
        measurement(number, 1, 10_000, 80, apart=True),
        measurement(number, 1, 6_000, 90, apart=False),
        measurement(number, 2, 11_400, 100, apart=False),
    ]


def test_with_three_cores_the_generator_is_apart_from_one_worker_and_from_two() -> None:
    one, two = layouts_for({0, 1, 2})
    assert (one, two) == (Layout((2,), frozenset({0})), Layout((1, 2), frozenset({0})))
    assert one.apart
    assert two.apart
    assert str(two) == "2 workers on cores 1, 2, the generator on core 0"


def test_with_two_cores_one_worker_is_measured_apart_and_sharing_as_two_do() -> None:
    alone, one, two = layouts_for({0, 1})
    assert [layout.apart for layout in (alone, one, two)] == [True, False, False]
    assert one == Layout((1,), frozenset({1}))
    assert two == Layout((0, 1), frozenset({0, 1}))
    assert str(one) == "1 worker and the generator on core 1"


def test_with_one_core_two_workers_cannot_be_measured() -> None:
    with pytest.raises(LoadError, match="two workers need two cores"):
        layouts_for({0})


def test_with_three_cores_throughputs_of_each_round_are_compared() -> None:
    """A slow round slows both sides of its ratio."""
    (summary,) = summarise(["gateway"], [*on_three_cores(1), *on_three_cores(2, slow=0.4)])
    assert summary.ratio.median == pytest.approx(1.9)
    assert goal_lines([summary]) == [
        "goal: gateway with 2 workers at least 1.8 x 1 worker: met (1.90)"
    ]


def test_with_two_cores_like_is_compared_with_like_and_what_is_derived_says_so() -> None:
    (summary,) = summarise(["gateway"], [*on_two_cores(1), *on_two_cores(2)])
    assert summary.ratio.median == pytest.approx(11_400 / 6_000)
    assert summary.scaling.median == pytest.approx(2 * 80 / 100)
    (line,) = goal_lines([summary])
    assert line == (
        "goal: gateway with 2 workers at least 1.8 x 1 worker: met (1.90) with the generator on "
        "the workers' cores, for there are no others; 1.60 by CPU cost, derived"
    )
    rows = markdown_table([summary]).splitlines()[2:]
    assert rows[0].startswith("| this gateway | 1 | apart | 10,000 (10,000-10,000) | 80.0 ")
    assert rows[-1].startswith("| this gateway | 2 | on the same | 11,400 (11,400-11,400) | 100.0 ")
    assert "| 40 % | 1.90 (1.90-1.90) | 1.60 (1.60-1.60) | 0 |" in rows[-1]


def test_too_little_throughput_or_a_wrong_reply_does_not_meet_the_goal() -> None:
    one, two = on_three_cores(1)
    for second in (
        replace(two, requests_per_second=17_000.0),
        replace(two, errors={"wrong": 1}),
    ):
        (line,) = goal_lines(summarise(["gateway"], [one, second]))
        assert "x 1 worker: not met (" in line


def test_a_goal_is_doubted_where_the_generator_or_something_else_took_the_core() -> None:
    one, two = on_three_cores(1)
    measured = [replace(one, server_core_others=30.0), replace(two, generator_cpu=97.0)]
    (line,) = goal_lines(summarise(["gateway"], measured))
    assert line.endswith(
        "met (1.90), but the machine was not quiet and the generator was at its end"
    )


def test_summaries_come_back_from_the_json() -> None:
    measured = [*on_two_cores(1), *on_two_cores(2)]
    summaries = summarise(["gateway"], measured)
    told = as_json(PLAN, layouts_for({0, 1}), measured, summaries)
    document = json.loads(json.dumps(told))
    assert summaries_of(document) == summaries
    assert len(document["rounds"]) == 6


def test_the_clock_of_a_group_tells_what_each_process_took_between_its_calls() -> None:
    clock = ProcessClock(os.getpgrp())
    before, began = clock(), time.process_time()
    # Several ticks of the kernel's clock, of this process: there are others in its group.
    while time.process_time() - began < 0.05:
        sum(range(100_000))
    after = clock()
    taken = clock.taken()
    assert sum(taken.values()) == pytest.approx(after - before)
    assert taken[os.getpid()] > 0
    assert list(taken.values()) == sorted(taken.values(), reverse=True)


needs_two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="two workers need two cores",
)


@needs_two_cores
def test_what_is_kept_to_a_core_may_use_the_others_again_afterwards() -> None:
    usable = os.sched_getaffinity(0)
    with kept_to({max(usable)}):
        assert os.sched_getaffinity(0) == {max(usable)}
    assert os.sched_getaffinity(0) == usable


@needs_two_cores
@pytest.mark.compiled
def test_the_command_measures_each_layout_and_both_workers_get_requests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results" / "workers.json"
    short = ["--seconds", "1", "--rounds", "1", "--generator", "python", "--only", "gateway"]
    assert main([*short, "--callbacks", "120000", "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    *ones, two = document["rounds"]
    assert [one["workers"] for one in ones] == [1] * len(ones)
    assert two["workers"] == 2
    assert min(two["worker_cpu_seconds"]) > 0
    assert all(one["errors"] == {} and one["checked"] > one["requests"] > 0 for one in [*ones, two])
    printed = capsys.readouterr().out
    assert "| this gateway | 2 | " in printed
    assert printed.splitlines()[-1] == document["goals"][0]


@needs_two_cores
@pytest.mark.compiled
def test_callbacks_that_a_gateway_would_know_already_end_the_run_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--callbacks", "100", "--rounds", "1", "--seconds", "1", "--only", "gateway"]
    assert main([*few, "--json", str(tmp_path / "workers.json")]) == 2
    assert capsys.readouterr().err == (
        "bench.workers: gateway had all callbacks already; give more: --callbacks\n"
    )
