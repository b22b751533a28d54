"""The latency runs: due times, what counts as latency, and that every reply is judged."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.latency.__main__ import main
from bench.latency.generator import OpenLoad, Schedule
from bench.latency.generator import run as run_open
from bench.latency.report import goal_lines, markdown_table, summarise
from bench.latency.runner import Measurement, Plan, run
from bench.load.callbacks import CallbackSet, echo_check, success_check
from bench.load.cores import Usage, UsageMeter
from bench.load.python_generator import PythonGenerator
from bench.load.runner import Findings
from bench.load.servers import ROWS, Row, Server

COUNT = 1000
WINDOW = 600


@pytest.fixture(scope="module")
def callbacks(tmp_path_factory: pytest.TempPathFactory) -> CallbackSet:
    """A small set of callbacks."""
    return CallbackSet(tmp_path_factory.mktemp("latency") / "callbacks", COUNT, int(time.time()))


SERVER = """
import asyncio, sys, time

port, each, stall, after, closes = int(sys.argv[1]), *map(float, sys.argv[2:])
taken = 0

async def serve(reader, writer):
    global taken
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            if head.startswith(b"POST"):
                length = head.lower().partition(b"content-length:")[2].split()[0]
                await reader.readexactly(int(length))
                taken += 1
                if closes:
                    break
                if taken == after:
                    # All of it stands still, as in a collection or a write to a slow disk.
                    time.sleep(stall)
                await asyncio.sleep(each)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 7\\r\\n\\r\\nsuccess")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()

asyncio.run(main())
"""
"""Says `success`; each answer takes some seconds, one of them makes everybody wait."""


def row_of(*, each: float = 0, stall: float = 0, after: int = 0, closes: bool = False) -> Row:
    """That server; ``each`` and ``stall`` are in seconds."""
    shape = [str(each), str(stall), str(after), str(int(closes))]
    return Row(
        name="static",
        title="a static server",
        setup="says `success`",
        command=lambda port, _directory: ["-c", SERVER, str(port), *shape],
        needs=(),
    )


@contextmanager
def served(row: Row) -> Iterator[Server]:
    with Server(row, None, WINDOW) as server:
        yield server


def play(
    server: Server,
    callbacks: CallbackSet,
    *,
    rate: float,
    seconds: float,
    start: int = 0,
    connections: int = 64,
) -> OpenLoad:
    """Send callbacks at a constant rate."""
    return run_open(
        server.port,
        callbacks,
        start=start,
        rate=rate,
        seconds=seconds,
        connections=connections,
        meter=UsageMeter(server.cpu_clock()),
    )


def test_callbacks_are_due_at_even_times_from_the_beginning_on() -> None:
    schedule = Schedule(10.0, rate=4, seconds=2.5)
    assert schedule.count == 10
    assert [schedule.due(number) for number in range(4)] == [10.0, 10.25, 10.5, 10.75]


def test_as_many_are_due_as_have_a_due_time_that_came() -> None:
    """Neither one more nor one less, at the very moment and just before it."""
    for rate in (3, 7, 997.3, 9137.7):
        schedule = Schedule(12345.678, rate=rate, seconds=2)
        assert schedule.due_by(12345.6) == 0
        assert schedule.due_by(12350) == schedule.count
        for number in range(schedule.count):
            due = schedule.due(number)
            assert schedule.due_by(due) == number + 1
            assert schedule.due_by(due - 1e-7) == number


def test_every_callback_of_the_schedule_is_sent_once_and_in_order(callbacks: CallbackSet) -> None:
    with served(row_of()) as server:
        seen = play(server, callbacks, rate=400, seconds=1, start=COUNT - 100)
    answers = list(seen.load.answers)
    # Round and round, as the set is read.
    sent = [(COUNT - 100 + number) % COUNT for number in range(400)]
    assert sorted(answer.callback or 0 for answer in answers) == sorted(sent)
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"success")}
    assert (seen.load.sent, seen.load.requests, seen.load.lost) == (400, 400, 0)
    assert (seen.load.socket_errors, seen.load.timeouts) == (0, 0)
    assert len(seen.lag_ms) == len(seen.latency_ms) == 5
    assert 0 < seen.latency_ms["p50"] <= seen.latency_ms["p99"] <= seen.latency_ms["max"]


def test_a_stall_is_in_the_latency_of_all_that_fell_due_meanwhile(callbacks: CallbackSet) -> None:
    """150 of 1000 do in 300 ms; only those under way would show it if each waited for its turn."""
    with served(row_of(stall=0.3, after=300)) as server:
        seen = play(server, callbacks, rate=500, seconds=2)
    assert seen.load.requests == 1000
    # 50 fell due in its first 100 ms, and waited for the other 200 at least.
    assert seen.latency_ms["p99"] > 200
    assert seen.latency_ms["max"] >= 290


def test_the_wait_for_a_connection_counts_and_is_told(callbacks: CallbackSet) -> None:
    """One at a time, 20 ms each: 50 take a second, and all were due in the first quarter of it."""
    with served(row_of(each=0.02)) as server:
        seen = play(server, callbacks, rate=200, seconds=0.25, connections=1)
    assert seen.connections == 1
    assert seen.load.requests == 50
    assert seen.waited > 40
    assert seen.latency_ms["max"] > 700
    assert seen.latency_ms["p50"] > 300


def test_connections_are_opened_while_none_is_free_up_to_the_bound(callbacks: CallbackSet) -> None:
    """400 a second that take 0.2 s each need 80 connections at a time."""
    with served(row_of(each=0.2)) as server:
        free = play(server, callbacks, rate=400, seconds=1, connections=256)
        bound = play(server, callbacks, rate=400, seconds=0.5, connections=48)
    assert 80 <= free.connections <= 256
    assert bound.connections == 48
    assert (free.load.requests, bound.load.requests) == (400, 200)


def test_connections_closed_instead_of_a_reply_are_errors(callbacks: CallbackSet) -> None:
    with served(row_of(closes=True)) as server:
        seen = play(server, callbacks, rate=100, seconds=0.5)
    findings = Findings()
    findings.add(seen.load, success_check)
    assert findings.checked == 0
    assert findings.errors["socket"] == 50
    assert findings.errors["silence"] == 1


def test_a_server_that_is_gone_loses_all_that_is_due(callbacks: CallbackSet) -> None:
    """And connections are not tried again and again at the pace of the ticks."""
    with served(row_of()) as server:
        pass
    seen = play(server, callbacks, rate=100, seconds=0.2, connections=4)
    assert (seen.load.sent, seen.load.requests, seen.load.lost) == (0, 0, 20)
    assert 0 < seen.load.socket_errors <= 4 * 600


def test_a_gateway_s_replies_are_right_at_a_constant_rate(callbacks: CallbackSet) -> None:
    with served(ROWS["gateway"]) as server:
        seen = play(server, callbacks, rate=400, seconds=2)
    findings = Findings()
    findings.add(seen.load, echo_check(callbacks))
    assert findings.errors == {}, findings.examples
    assert findings.checked == 800


def test_wrong_replies_are_errors_and_meet_no_goal() -> None:
    """The static server is to echo here, and says `success`."""
    plan = Plan(
        rows=[row_of()],
        generator=PythonGenerator(),
        share=5,
        seconds=1,
        rounds=1,
        callbacks=200,
    )
    told: list[Measurement] = []
    measured, _ = run(plan, told.append)
    assert told == measured
    assert measured[0].errors == {"wrong": measured[0].checked}
    assert measured[0].checked > measured[0].sent > 0
    assert measured[0].rate == pytest.approx(measured[0].throughput / 20)
    (line,) = goal_lines(plan, summarise(plan.rows, measured))
    assert line.startswith("goal: static p99 at 5 % under 10 ms: not met (")


def measurement(number: int, p99: float) -> Measurement:
    """A made-up measurement."""
    levels = {"p50": 1.0, "p90": 2.0, "p99": p99, "p99.9": p99, "max": p99}
    return Measurement(
        row="gateway",
        round=number,
        throughput=10_000,
        rate=7_000,
        sent=7_000,
        requests=7_000,
        seconds=1,
        latency_ms=levels,
        lag_ms=dict.fromkeys(levels, 0.2),
        waited=0,
        connections=32,
        generator_cpu=40,
        core_slowdown=1.1,
        usage=Usage(80, 40, 0, 0),
        checked=7_000,
        errors={},
        examples=[],
    )


def test_the_goal_is_judged_by_the_median_round_and_doubted_where_the_generator_was_late() -> None:
    rows = [ROWS["gateway"]]
    plan = Plan(rows=rows, generator=PythonGenerator())
    measured = [measurement(number, p99) for number, p99 in enumerate((4, 30, 5), start=1)]
    summaries = summarise(rows, measured)
    assert goal_lines(plan, summaries) == ["goal: gateway p99 at 70 % under 10 ms: met (5.0)"]
    assert "| this gateway | 10,000 | 7,000 |" in markdown_table(summaries)
    assert "5.00 (4.00-30.00)" in markdown_table(summaries)
    measured[0] = replace(measured[0], generator_cpu=97.0)
    measured[1] = replace(measured[1], usage=Usage(80, 40, 25, 0))
    assert goal_lines(plan, summarise(rows, measured))[0].endswith(
        "met (5.0), but the machine was not quiet and the generator was late"
    )
    slow = [replace(one, core_slowdown=1.6) for one in measured]
    assert (
        "the core itself was 1.60 times slower at times"
        in goal_lines(plan, summarise(rows, slow))[0]
    )


def test_the_command_measures_a_row_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results" / "latency.json"
    short = ["--seconds", "1", "--rounds", "1", "--share", "5", "--callbacks", "500"]
    assert main([*short, "--only", "granian-rsgi", "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    (one,) = document["rounds"]
    assert (one["row"], one["errors"]) == ("granian-rsgi", {})
    # A second of warm-up is sent, and not counted.
    assert one["sent"] == round(2 * one["rate"])
    assert one["requests"] == pytest.approx(one["rate"], abs=2)
    assert one["core_slowdown"] >= 1
    assert one["generator_cpu"] > 0
    assert document["options"]["share"] == 5
    assert document["summary"][0]["latency_ms"]["p99"].keys() == {"median", "least", "most"}
    printed = capsys.readouterr().out
    assert "| Granian alone, RSGI |" in printed
    assert printed.splitlines()[-1] == document["goals"][0]


def test_callbacks_that_a_gateway_would_know_already_end_the_run_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Repeats are answered from memory, and would be measured as if they were handled."""
    few = ["--callbacks", "100", "--rounds", "1", "--only", "gateway"]
    assert main([*few, "--json", str(tmp_path / "latency.json")]) == 2
    assert capsys.readouterr().err == (
        "bench.latency: gateway would have all callbacks already; give more: --callbacks\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--share", "0"], "--share: must be a number from 1 to 100"),
        (["--seconds", "ten"], "--seconds: must be a number from 1 to 600"),
        (["--only", "nginx"], "invalid choice: 'nginx'"),
    ],
)
def test_options_that_cannot_be_are_told_in_a_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
