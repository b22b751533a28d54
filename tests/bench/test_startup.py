"""The timed starts: what counts as a first answer, and what is told of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from bench.load.cores import NOT_PINNED
from bench.load.generator import HOST, LoadError
from bench.load.servers import ROWS, Row
from bench.startup.__main__ import main
from bench.startup.first_answer import TimedServer, ask
from bench.startup.report import as_json, goal_lines, markdown_table, summaries_of, summarise
from bench.startup.runner import Plan, Start, run
from tests.services import free_port

PLAN = Plan(rows=[ROWS["gateway"]], rounds=3)


def start(number: int, seconds: float, mib: float = 80) -> Start:
    """A made-up start."""
    return Start(
        row="gateway",
        round=number,
        seconds=seconds,
        cpu=0.9,
        others=0.0,
        resident=round(mib * 2**20),
        error="",
    )


STARTS = [start(0, 9.0), start(1, 1.4), start(2, 1.6, 89), start(3, 1.2, 91)]


def test_the_median_start_is_judged_and_the_first_one_does_not_count() -> None:
    summaries = summarise(PLAN.rows, STARTS)
    assert goal_lines(summaries) == [
        "goal: gateway first right answer under 1.5 s: met (1.40, at most 1.60)",
        "goal: gateway resident after it under 90 MiB: met (89.0, at most 91.0)",
    ]
    assert markdown_table(summaries).splitlines()[2] == (
        "| this gateway | 1.40 (1.20-1.60) | 0.90 (0.90-0.90) | 89.0 (80.0-91.0) | 9.00 | 0 |"
    )


def test_a_late_or_wrong_answer_meets_no_goal() -> None:
    slow, fat = goal_lines(
        summarise(PLAN.rows, [replace(one, seconds=1.5, resident=90 << 20) for one in STARTS])
    )
    assert "not met (1.50" in slow
    assert "not met (90.0" in fat
    wrong = summarise(PLAN.rows, [*STARTS[:-1], replace(STARTS[-1], error="wrong: no echo")])
    assert all(": not met (" in line for line in goal_lines(wrong))


def test_a_goal_is_doubted_where_something_else_ran_on_the_core() -> None:
    """Of the seconds only: it makes no process larger."""
    seconds, mib = goal_lines(summarise(PLAN.rows, [*STARTS[:-1], replace(STARTS[-1], others=40)]))
    assert seconds.endswith(", but the machine was not quiet")
    assert mib.endswith("(89.0, at most 91.0)")


def test_summaries_come_back_from_the_json() -> None:
    summaries = summarise(PLAN.rows, STARTS)
    document = json.loads(json.dumps(as_json(PLAN, NOT_PINNED, STARTS, summaries)))
    assert summaries_of(document) == summaries
    assert [one["round"] for one in document["rounds"]] == [0, 1, 2, 3]


@contextmanager
def answering(*parts: bytes) -> Iterator[int]:
    """Answer one connection with these parts, then close it; give the port."""
    with create_server((HOST, 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                for part in parts:
                    connection.sendall(part)

        thread = Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=10)


def test_an_answer_is_there_when_its_last_byte_is() -> None:
    with answering(b"HTTP/1.1 403 Forbidden\r\nconte", b"nt-length: 4\r\n\r\nno", b"pe") as port:
        answer = ask(port, b"GET / HTTP/1.1\r\n\r\n")
    assert answer is not None
    assert (answer.status, answer.body) == (403, b"nope")


def test_nobody_that_listens_or_one_that_hangs_up_is_no_answer() -> None:
    assert ask(free_port(), b"any") is None
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf") as port:
        assert ask(port, b"any") is None


def test_a_server_that_ends_at_its_start_is_shown_with_what_it_said() -> None:
    broken = Row(
        name="broken",
        title="broken",
        setup="",
        command=lambda _port, _directory: ["-c", "raise SystemExit('no such bot')"],
        needs=(),
    )
    with pytest.raises(LoadError, match="no such bot"), TimedServer(broken, None, 600, b""):
        pass


def test_an_answer_that_is_no_echo_is_an_error() -> None:
    """The static server says `success`, whatever it is sent."""
    starts, _ = run(Plan(rows=[ROWS["granian-rsgi"]], rounds=1), lambda _start: None)
    assert [one.error for one in starts] == ["wrong: b'success' and no echo"] * 2


def test_the_command_times_a_start_of_the_gateway_and_writes_every_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results" / "startup.json"
    assert main(["--rounds", "1", "--only", "gateway", "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    first, counted = document["rounds"]
    assert (first["round"], counted["round"]) == (0, 1)
    assert counted["cpu"] > 0
    assert 10 << 20 < counted["resident"] < 1 << 30
    printed = capsys.readouterr().out
    assert "| this gateway | " in printed
    assert printed.splitlines()[-2:] == document["goals"]
