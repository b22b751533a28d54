"""A sink's lane is emptied into its publisher: each event arrives, or ends as a dead letter."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import pytest

from gateway.errors import SettingsError
from gateway.inbound import forwarding
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Policy
from gateway.inbound.forwarding import Forwarder
from gateway.inbound.ports import ENTRY_LEASE_SECONDS, Wanted
from gateway.inbound.publishing import ACCEPTED, Later, Never, Outgoing, Published
from tests.inbound.lanes import RANDOM, Lanes, stop, until
from tests.inbound.whole import play
from tests.support import NOW

LANE: Final = "sink.crm"
POLICY: Final = Policy(3, 4.0, 300.0)
THREE_DAYS: Final = 259_200.0
DOWN: Final = Later("unreachable: ConnectionError")

_sleep = asyncio.sleep


class Sink:
    """A publisher that answers what it is told to, and notes what it was given."""

    batch = 4

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        """The ids of each batch."""
        self.answers: dict[str, Published] = {}
        """By id; all others are accepted."""
        self.answer: Published = ACCEPTED
        self.hangs = False
        self.start_error: Exception | None = None
        self.states: list[str] = []

    async def start(self) -> None:
        """Start, or raise."""
        self.states.append("started")
        if self.start_error is not None:
            raise self.start_error

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Note the events and answer."""
        self.given.append([event.id for event in events])
        if self.hangs:
            await asyncio.Event().wait()
        return [self.answers.get(event.id, self.answer) for event in events]

    async def close(self) -> None:
        """Note it."""
        self.states.append("closed")


class World(Lanes):
    """Lanes with their forwarders, at a time that passes when it is told to."""

    def __init__(self) -> None:
        super().__init__(POLICY)

    def forwarder(self, sink: Sink, lane: str = LANE) -> Forwarder:
        """Return what empties a lane into a sink."""
        return Forwarder(lane, sink, self.shared())

    async def put(self, *bodies: bytes, lane: str = LANE) -> None:
        """Store entries."""
        await self.store_entries(*(Entry(lane, "main", "message.text", body) for body in bodies))

    def waiting(self, lane: str = LANE) -> list[tuple[float, int]]:
        """Return of each entry in a lane in how many seconds it is due, and how often it went."""
        kept = self.store._entries.values()
        return [(k.due - self.now, k.deliveries) for k in kept if k.entry.lane == lane]

    async def buried(self) -> list[tuple[bytes, str]]:
        """Return the bodies of the dead letters, and their reasons."""
        letters = await self.dead.find(Wanted(), 100)
        return [(letter.entry.body, letter.reason) for letter in letters]


def event(id_: str) -> bytes:
    """Return an encoded event."""
    return b'{"id":"%s","type":"message.text"}' % id_.encode()


class Pauses:
    """asyncio.sleep that notes how long a forwarder leaves its sink alone, and does not wait."""

    def __init__(self) -> None:
        self.noted: list[float] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, seconds: float) -> None:
        """Note it, and wait until the test says so."""
        self.noted.append(seconds)
        await self.go_on.wait()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """What a forwarder sleeps."""
    noted = Pauses()
    monkeypatch.setattr(asyncio, "sleep", noted)
    return noted


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the lane more often."""
    monkeypatch.setattr(forwarding, "IDLE_SECONDS", 0.002)
    monkeypatch.setattr(forwarding, "DOWN_SECONDS", 0.002)


def test_what_is_accepted_leaves_the_lane_in_order_batch_by_batch() -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        await world.put(*(event(f"{n}") for n in range(10)))
        running = asyncio.create_task(world.forwarder(sink).run())
        await until(lambda: not world.waiting())
        assert sink.given == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"]]
        assert await world.buried() == []
        await stop(running)

    play(scenario)


def test_a_publisher_gets_an_event_with_whose_it_is_and_byte_for_byte() -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        seen: list[Outgoing] = []

        async def publish(events: Sequence[Outgoing]) -> list[Published]:
            seen.extend(events)
            return [ACCEPTED] * len(events)

        sink.publish = publish  # type: ignore[method-assign]  # looked over its shoulder
        body = b'{"id": "a",  "type":"message.text", "subject":"oUser", "data": [1.0]}'
        await world.put(body, event("b"))
        await world.forwarder(sink)._step()
        assert seen == [
            Outgoing("a", "message.text", "oUser", body),
            Outgoing("b", "message.text", "", event("b")),
        ]

    play(scenario)


@pytest.mark.parametrize("retry_after", [0.0, 120.0])
def test_what_is_for_later_is_tried_again_behind_the_pause_and_no_sooner_than_asked(
    retry_after: float, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        sink.answers = {"b": Later("status: 503", retry_after)}
        await world.put(event("a"), event("b"), event("c"))
        forwarder = world.forwarder(sink)
        for tries in range(1, 4):
            await forwarder._step()
            pause = retry_after + RANDOM * POLICY.base * 2 ** (tries - 1)
            assert world.waiting() == [(pause, tries)]
            assert caplog.messages[-1].endswith(
                f' reason="status: 503" attempt={tries + 1} seconds={pause:.1f}'
            )
            world.now += pause - 0.001
            await forwarder._step()
            assert len(sink.given) == tries
            world.now += 0.002
        sink.answers = {}
        await forwarder._step()
        assert sink.given == [["a", "b", "c"], ["b"], ["b"], ["b"]]
        assert (world.waiting(), await world.buried()) == ([], [])

    play(scenario)


def test_what_can_never_be_taken_is_buried_with_the_reason() -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        sink.answers = {"b": Never("oversized: 9 bytes"), "c": Never("status: 400")}
        await world.put(event("a"), event("b"), event("c"), event("d"))
        await world.forwarder(sink)._step()
        assert world.waiting() == []
        assert await world.buried() == [
            (event("b"), "oversized: 9 bytes"),
            (event("c"), "status: 400"),
        ]
        (letter, _) = await world.dead.find(Wanted(lane=LANE), 9)
        assert (letter.deliveries, letter.stored_at, letter.buried_at) == (1, NOW, NOW)

    play(scenario)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"type":"x"}', b'{"id":1,"type":"x"}'], ids=repr
)
def test_what_holds_no_event_is_buried_and_the_rest_of_its_batch_goes_out(body: bytes) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        await world.put(event("a"), body, event("c"))
        await world.forwarder(sink)._step()
        assert sink.given == [["a", "c"]]
        assert world.waiting() == []
        assert await world.buried() == [(body, "unserialisable: it cannot be written as JSON")]

    play(scenario)


@pytest.mark.parametrize(
    ("age", "answer", "buried"),
    [
        (THREE_DAYS + 1, DOWN, [f"{DOWN.reason}; tried for three days"]),
        (THREE_DAYS, DOWN, []),
        (THREE_DAYS + 1, ACCEPTED, []),
        (THREE_DAYS + 1, Never("status: 410"), ["status: 410"]),
    ],
    ids=["older", "just as old", "older, but accepted", "older, and never"],
)
def test_only_what_is_older_than_three_days_is_given_up(
    age: float, answer: Published, buried: list[str], pauses: Pauses
) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        await world.put(event("old"))
        world.now += age
        sink.answer = answer
        await world.forwarder(sink)._step()
        assert [reason for _, reason in await world.buried()] == buried
        assert len(world.waiting()) == (answer is DOWN and not buried)

    play(scenario)


def test_no_number_of_tries_buries_what_is_younger(pauses: Pauses) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        sink.answer = DOWN
        await world.put(event("a"))
        forwarder = world.forwarder(sink)
        for _ in range(20 * POLICY.max_deliveries):
            await forwarder._step()
            ((due, _),) = world.waiting()
            world.now += due
        assert len(sink.given) == 20 * POLICY.max_deliveries
        assert await world.buried() == []

    play(scenario)


def test_a_sink_that_takes_nothing_is_left_alone_longer_and_longer_until_it_takes_something(
    pauses: Pauses,
) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        await world.put(event("a"), event("b"))
        forwarder = world.forwarder(sink)

        async def step(answer: Published) -> None:
            sink.answer = answer
            await forwarder._step()
            world.now += 1000

        for _ in range(7):
            await step(DOWN)
        grown = [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
        assert pauses.noted == grown
        # One of the two is enough.
        sink.answers = {"a": ACCEPTED}
        await step(DOWN)
        assert pauses.noted == grown
        await step(DOWN)
        assert pauses.noted == [*grown, 2.0]

    play(scenario)


def test_a_new_event_is_no_reason_to_ask_a_sink_again_that_takes_nothing(pauses: Pauses) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        sink.answer = DOWN
        await world.put(event("a"))
        forwarder = world.forwarder(sink)
        forwarder.wake()
        pauses.go_on.clear()
        running = asyncio.create_task(forwarder.run())
        await until(lambda: pauses.noted)
        await world.put(event("b"))
        forwarder.wake()
        for _ in range(20):
            await _sleep(0.001)
        assert sink.given == [["a"]]
        sink.answer = ACCEPTED
        pauses.go_on.set()
        await until(lambda: len(world.waiting()) == 1)
        assert sink.given == [["a"], ["b"]]
        await stop(running)

    play(scenario)


def test_what_this_process_stores_goes_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "IDLE_SECONDS", 60.0)

    async def scenario() -> None:
        world, sink = World(), Sink()
        forwarder = world.forwarder(sink)
        running = asyncio.create_task(forwarder.run())
        for _ in range(20):
            await _sleep(0.001)
        await world.put(event("a"))
        forwarder.wake()
        await until(lambda: sink.given == [["a"]])
        await stop(running)

    play(scenario)


def test_a_sink_that_is_wrong_at_start_is_said_and_used_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        sink.start_error = SettingsError("sinks.crm: http://crm/ cannot be reached; correct url")
        await world.put(event("a"))
        running = asyncio.create_task(world.forwarder(sink).run())
        await until(lambda: not world.waiting())
        await stop(running)
        assert sink.states == ["started", "closed"]

    play(scenario)
    (record,) = caplog.records
    wrong = "sinks.crm: http://crm/ cannot be reached; correct url"
    assert record.getMessage() == f'events wait lane=sink.crm error="{wrong}"'
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize("hangs", [False, True], ids=["that idles", "that hangs"])
def test_a_sink_is_closed_at_the_end(hangs: bool) -> None:
    """What is under way then is forwarded again by another, once its lease has run out."""

    async def scenario() -> None:
        world, sink, other = World(), Sink(), Sink()
        sink.hangs = hangs
        await world.put(event("a"))
        running = asyncio.create_task(world.forwarder(sink).run())
        await until(lambda: sink.given == [["a"]] and (hangs or not world.waiting()))
        assert sink.states == ["started"]
        await stop(running)
        assert sink.states == ["started", "closed"]
        again = world.forwarder(other)
        await again._step()
        assert other.given == []
        world.now += ENTRY_LEASE_SECONDS
        await again._step()
        assert other.given == [["a"]] * hangs
        assert world.waiting() == []

    play(scenario)


def test_two_sinks_do_not_delay_each_other() -> None:
    async def scenario() -> None:
        world, hanging, other = World(), Sink(), Sink()
        hanging.hangs = True
        running = [
            asyncio.create_task(world.forwarder(hanging, "sink.hangs").run()),
            asyncio.create_task(world.forwarder(other, "sink.other").run()),
        ]
        for n in range(3):
            await world.put(event(f"{n}"), lane="sink.hangs")
            await world.put(event(f"{n}"), lane="sink.other")
            await until(lambda: not world.waiting("sink.other"))
        assert other.given == [["0"], ["1"], ["2"]]
        assert hanging.given == [["0"]]
        assert len(world.waiting("sink.hangs")) == 3
        for each in running:
            await stop(each)

    play(scenario)


def test_a_store_that_is_down_stops_nothing_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world, sink = World(), Sink()
        world.store.down = True
        await world.put(event("a"))
        running = asyncio.create_task(world.forwarder(sink).run())
        await until(lambda: caplog.messages.count('lane waits lane=sink.crm error="no Redis"') == 3)
        assert sink.given == []
        world.store.down = False
        await until(lambda: not world.waiting())
        assert sink.given == [["a"]]
        await stop(running)

    play(scenario)
