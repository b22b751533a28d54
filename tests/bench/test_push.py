"""The push comparison: what the ledger judges, what is told of it, and a short run of it all."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from bench.load.cores import NOT_PINNED, Cores
from bench.load.generator import LoadError
from bench.push.__main__ import main
from bench.push.order import Order, body, check, open_id
from bench.push.platform import simulated_platform
from bench.push.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    summaries_of,
    summarise,
)
from bench.push.runner import Measurement, Plan, measure, run
from bench.push.sides import SIDES, TRANSPORT, WECHATPY, Client, ClientSide, Sender, Side
from gateway.simulator.api.world import OPEN_ID


def measurement(side: str, number: int, rate: float) -> Measurement:
    """A made-up measurement of a second."""
    return Measurement(
        side=side,
        latency=0.05,
        round=number,
        sends=int(rate),
        in_flight=64,
        seconds=1.0,
        sender_cpu=0.5,
        platform_cpu=0.5,
        others=0.0,
        missing=0,
        duplicates=0,
        errors={},
    )


TRANSPORT_SIDE = SIDES[TRANSPORT]
assert isinstance(TRANSPORT_SIDE, ClientSide)
JUDGED = replace(TRANSPORT_SIDE, is_judged=True)
PLAN = Plan(sides=[SIDES[WECHATPY], JUDGED])


def test_each_message_goes_to_a_user_of_its_own() -> None:
    numbers = (0, 7, 123_456_789)
    bodies = [json.loads(body(number)) for number in numbers]
    assert [one["touser"] for one in bodies] == [open_id(number) for number in numbers]
    assert len({one["touser"] for one in bodies} | {one["client_msg_id"] for one in bodies}) == 6
    assert all(OPEN_ID.fullmatch(one["touser"]) for one in bodies)


def test_an_answer_that_is_no_success_raises() -> None:
    check(b'{"errcode":0,"errmsg":"ok","msgid":1}')
    with pytest.raises(ValueError, match="errcode 45009"):
        check(b'{"errcode":45009,"errmsg":"reach max api daily quota limit"}')


def test_ratios_are_taken_within_each_round_and_judged() -> None:
    rates = {WECHATPY: (1000, 500, 1100), TRANSPORT: (9000, 3900, 9900)}
    measured = [
        measurement(side, number, rate) for side in rates for number, rate in enumerate(rates[side])
    ]
    summaries = summarise(measured)
    assert summaries[1].ratio is not None
    assert summaries[1].ratio.median == 9.0
    assert goal_lines(PLAN, summaries) == [
        "goal: gateway-transport at least 8 x wechatpy at 50 ms: met (9.0)"
    ]
    assert goal_lines(Plan(sides=[SIDES[WECHATPY], SIDES[TRANSPORT]]), summaries) == []
    doubted = summarise([replace(one, platform_cpu=0.99, others=20.0) for one in measured])
    assert goal_lines(PLAN, doubted)[0].endswith(
        "met (9.0), but the machine was not quiet and the platform was at its end"
    )
    assert "In 6 of 6 measurements" in list(describe(PLAN, NOT_PINNED, doubted))[-1]
    assert "| 22,800 once each | 0 |" in markdown_table(summaries)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"missing": 3}, "3 missing | 0 |"),
        ({"duplicates": 2}, "2 twice | 0 |"),
        ({"errors": {"Unanswered": 1}}, "9,000 once each | 1 Unanswered |"),
    ],
)
def test_a_message_that_was_lost_or_doubled_or_failed_does_not_meet_the_goal(
    wrong: dict[str, object], told: str
) -> None:
    fast = replace(measurement(TRANSPORT, 1, 9000), **wrong)  # type: ignore[arg-type]  # by name
    summaries = summarise([measurement(WECHATPY, 1, 1000), fast])
    (line,) = goal_lines(PLAN, summaries)
    assert "x wechatpy at 50 ms: not met (" in line
    assert told in markdown_table(summaries)


def test_without_wechatpy_there_is_no_ratio() -> None:
    (summary,) = summarise([measurement(TRANSPORT, 1, 9000)])
    assert goal_lines(PLAN, [summary])[0].endswith("at 50 ms: not measured")
    assert summary.cells()[4] == "-"


def test_summaries_come_back_from_the_json() -> None:
    measured = [measurement(WECHATPY, 1, 1000), measurement(TRANSPORT, 1, 9000)]
    summaries = summarise(measured)
    document = json.loads(json.dumps(as_json(PLAN, NOT_PINNED, measured, summaries)))
    assert summaries_of(document) == summaries
    assert document["goals"] == goal_lines(PLAN, summaries)


@dataclass(frozen=True)
class Careless:
    """A side that sends the first message twice and the last one never, and does not say it."""

    name: str = TRANSPORT
    title: str = "careless"
    setup: str = "in this process"
    share: float = 1.0
    is_judged: bool = True

    def in_flight(self, latency: float) -> int:  # noqa: ARG002  # as sides have it
        return 1

    def lacks(self) -> str | None:
        return None

    @contextmanager
    def start(self, order: Order, cores: Cores) -> Iterator[Sender]:  # noqa: ARG002  # same
        for number in range(order.count, order.count + order.warm_up):
            self.post(order, number)
        yield CarelessSender(self, order, [0, *range(order.count - 1)])

    def post(self, order: Order, number: int) -> None:
        sent = json.loads(body(number))
        # With an id, the platform would see to it that the user gets it once.
        del sent["client_msg_id"]
        raw = json.dumps(sent, ensure_ascii=False).encode()
        with urlopen(Request(order.address, raw), timeout=5) as answer:  # noqa: S310  # ours
            check(answer.read())


@dataclass
class CarelessSender:
    """The same, started."""

    side: Careless
    order: Order
    numbers: list[int]

    def begin(self) -> None:
        for number in self.numbers:
            self.side.post(self.order, number)

    def cpu(self) -> float:
        return 0.0

    def ended(self) -> Counter[str] | None:
        return Counter()


def test_the_ledger_finds_what_a_sender_does_not_tell() -> None:
    careless: Side = Careless()
    one = measure(careless, 0.0, 1, 20, NOT_PINNED)
    assert (one.missing, one.duplicates, one.is_exact, one.errors) == (1, 1, False, {})


def test_a_side_whose_package_is_not_there_ends_the_run_in_a_line() -> None:
    without = replace(JUDGED, needs=("no_such_package",))
    with pytest.raises(LoadError, match="pip install no_such_package"):
        run(Plan(sides=[without]), lambda _: None)


def test_a_client_that_does_not_start_is_shown_with_what_it_said() -> None:
    unknown = replace(JUDGED, client="no-such-client")
    with pytest.raises(LoadError, match="no-such-client"):
        measure(unknown, 0.0, 1, 100, NOT_PINNED)


def test_a_client_that_ends_too_soon_is_not_waited_for() -> None:
    with simulated_platform(None) as platform:
        platform.set_up(0.0)
        order = Order(platform.url, platform.token(), 4, 8, 100)
        with JUDGED.start(order, NOT_PINNED) as sender:
            assert sender.ended() is None
            assert isinstance(sender, Client)
            sender.process.kill()
            sender.process.wait()
            assert sender.ended() == Counter({"gone": 1})


@pytest.mark.parametrize("name", SIDES)
def test_every_side_sends_each_message_once(name: str) -> None:
    one = measure(SIDES[name], 0.0, 1, 300, NOT_PINNED)
    assert (one.is_exact, one.errors) == (True, {})
    assert one.sends == max(1, round(300 * SIDES[name].share))
    assert one.sends_per_second > 0


def test_the_command_prints_a_table_and_writes_what_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "push.json"
    short = ["--rounds", "1", "--sends", "200", "--latency", "20", "--only", TRANSPORT]
    assert main([*short, "--json", str(file), "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\| gateway, its API client alone \| 20 ms \| 1024 \| [\d,]+ ", printed)
    (one,) = json.loads(file.read_text())["rounds"]
    assert (one["sends"], one["missing"], one["duplicates"]) == (200, 0, 0)
