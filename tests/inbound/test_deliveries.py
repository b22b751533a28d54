"""Each message is handled once and answered once: with two processes over one store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from gateway import Bot, Context, Message, Reply, Text, TextReply
from gateway.adapters.memory import MemoryStore
from gateway.errors import StoreDown
from gateway.inbound import claims, deliveries
from gateway.inbound.claims import Finish, GiveUp, Outcome, Step
from gateway.inbound.deliveries import Deliveries, Delivery, LateReply
from gateway.inbound.ingest import HandlerFailed
from gateway.inbound.stored import BACKGROUND, CUSTOMER_SERVICE, ORIGIN, stored_message
from gateway.protocol.decode import decode
from tests.inbound.driving import TRACE, make_deliveries, registered
from tests.support import make_account

CONTENT = "hello"


class Arrival(Delivery):
    """A delivery whose answer can be looked at: the reply's text, or ``success``."""

    def __init__(self, content: str = CONTENT, key: bytes = b"key") -> None:
        super().__init__(make_account(), b"", trace_id=TRACE)
        fields = {"FromUserName": "oUser", "MsgType": "text", "Content": content}
        self.message: Message = decode(fields)
        self.key = key
        self.sent_after = 0.0
        self.answers: list[bytes] = []

    def age(self) -> float:
        """Return what WeChat's clock says."""
        return self.sent_after

    def seal(self, reply: Reply | None) -> bytes:
        """Return the text, so that answers can be read."""
        return reply.content.encode() if isinstance(reply, TextReply) else b"success"

    def answer(self, body: bytes) -> None:
        """Note the answer."""
        self.answers.append(body)


class Handler:
    """A handler that waits until it is told to go on, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, _message: Text) -> str:
        self.runs += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return f"reply {self.runs}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what WeChat takes seconds for to hundredths of them, in proportion."""
    for name, value in {"WAITS": 0.5, "HOLD": 0.55, "LAST_AFTER": 0.95, "SWEEP": 0.01}.items():
        monkeypatch.setattr(deliveries, name, value)
    monkeypatch.setattr(deliveries, "_POLL", (0.01, 0.02))


DEADLINE = 0.45


def play(scenario: Callable[[], Awaitable[Any]]) -> None:
    """Run a scenario, but not for ever."""

    async def run() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(run())


def start(process: Deliveries, arrival: Arrival) -> asyncio.Task[None]:
    """Let a delivery arrive."""
    return asyncio.create_task(process.answer(arrival))


def two(
    bot: Bot, store: MemoryStore, late_reply: LateReply = LateReply.JOIN
) -> tuple[Deliveries, Deliveries]:
    """Return two processes over a store."""
    one, other = (
        make_deliveries(bot, store, owner=owner, deadline=DEADLINE, late_reply=late_reply)
        for owner in (b"process1", b"process2")
    )
    return one, other


async def lane(store: MemoryStore, name: str) -> list[Any]:
    """Return the entries of a lane, whenever they are due."""
    return [kept.entry for kept in store._entries.values() if kept.entry.lane == name]


@pytest.mark.parametrize("where", ["same process", "other process"])
def test_a_duplicate_waits_for_the_first_ones_reply(where: str) -> None:
    async def scenario() -> None:
        handler = Handler()
        one, other = two(registered(handler, Text), MemoryStore(60))
        first, second = Arrival(), Arrival()
        tasks = [start(one, first)]
        await asyncio.sleep(0.02)
        tasks.append(start(one if where == "same process" else other, second))
        await asyncio.sleep(0.02)
        assert (first.answers, second.answers) == ([], [])
        handler.go_on.set()
        await asyncio.gather(*tasks)
        assert (first.answers, second.answers) == ([b"reply 1"], [b"reply 1"])
        assert handler.runs == 1

    play(scenario)


def test_a_duplicate_of_what_is_done_is_answered_without_the_store() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        handler.go_on.set()
        one, other = two(registered(handler, Text), store)
        await one.answer(Arrival())
        await asyncio.sleep(0.01)
        committed = len(store._claims._records)
        again, elsewhere = Arrival(), Arrival()
        store._claims._records.clear()
        await one.answer(again)
        assert again.answers == [b"reply 1"]
        assert (committed, len(store._claims._records)) == (1, 0)
        await other.answer(elsewhere)
        # The other process has to ask, and the store has forgotten.
        assert handler.runs == 2

    play(scenario)


@pytest.mark.parametrize("where", ["same process", "other process"])
def test_a_failed_handler_frees_the_message_for_who_waits(where: str) -> None:
    async def scenario() -> None:
        handler = Handler()
        handler.error = ValueError()
        one, other = two(registered(handler, Text), MemoryStore(60))
        first, second = Arrival(), Arrival()
        failing = start(one, first)
        await asyncio.sleep(0.02)
        waiting = start(one if where == "same process" else other, second)
        await asyncio.sleep(0.02)
        handler.go_on.set()
        with pytest.raises(HandlerFailed):
            await failing
        handler.error = None
        await waiting
        assert (first.answers, second.answers) == ([], [b"reply 2"])

    play(scenario)


def test_attempts_are_counted_over_processes() -> None:
    async def scenario() -> None:
        seen: list[int] = []
        bot = Bot()

        @bot.on(Text)
        async def fail_twice(_message: Text, context: Context) -> str:
            seen.append(context.attempt)
            if len(seen) < 3:
                raise ValueError
            return "at last"

        one, other = two(bot, MemoryStore(60))
        for process in (one, other):
            with pytest.raises(HandlerFailed):
                await process.answer(Arrival())
            await asyncio.sleep(0.02)
        last = Arrival()
        await one.answer(last)
        assert (seen, last.answers) == ([1, 2, 3], [b"at last"])

    play(scenario)


def test_behind_the_last_delivery_the_reply_becomes_a_customer_service_message() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, other = two(registered(handler, Text), store)
        arrivals = [Arrival() for _ in range(3)]
        tasks = []
        for arrival, process in zip(arrivals, (one, other, one), strict=True):
            tasks.append(start(process, arrival))
            await asyncio.sleep(deliveries.WAITS)
        assert [arrival.answers for arrival in arrivals] == [[], [], [b"success"]]
        (stored,) = await lane(store, BACKGROUND)
        assert stored_message(stored).message == arrivals[0].message
        handler.go_on.set()
        await asyncio.gather(*tasks)
        (job,) = await lane(store, CUSTOMER_SERVICE)
        assert msgspec.json.decode(job.body) == {
            "touser": "oUser",
            "msgtype": "text",
            "text": {"content": "reply 1"},
            ORIGIN: TRACE,
        }
        assert handler.runs == 1

    play(scenario)


def test_a_delivery_that_comes_late_is_the_last_even_if_others_never_arrived() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, other = two(registered(handler, Text), store)
        first, last = Arrival(), Arrival()
        tasks = [start(one, first)]
        await asyncio.sleep(2 * deliveries.WAITS)
        tasks.append(start(other, last))
        await asyncio.sleep(DEADLINE + 0.05)
        assert last.answers == [b"success"]
        handler.go_on.set()
        await asyncio.gather(*tasks)

    play(scenario)


@pytest.mark.parametrize("where", ["same process", "other process", "alone"])
def test_by_wechats_clock_a_delivery_is_known_to_be_the_last(where: str) -> None:
    """Even where the store, or who counted the others, is gone."""

    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, other = two(registered(handler, Text), store)
        last = Arrival()
        last.sent_after = 10.0
        tasks = [] if where == "alone" else [start(one, Arrival())]
        await asyncio.sleep(0.02)
        tasks.append(start(one if where == "same process" else other, last))
        await asyncio.sleep(DEADLINE + 0.05)
        assert last.answers == [b"success"]
        handler.go_on.set()
        await asyncio.gather(*tasks)
        assert len(await lane(store, CUSTOMER_SERVICE)) == 1

    play(scenario)


def test_three_deliveries_at_once_do_not_end_the_waiting_before_its_time() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, other = two(registered(handler, Text), store)
        arrivals = [Arrival() for _ in range(3)]
        tasks = [start(p, a) for p, a in zip((one, other, other), arrivals, strict=True)]
        await asyncio.sleep(0.2)
        assert [arrival.answers for arrival in arrivals] == [[], [], []]
        handler.go_on.set()
        await asyncio.gather(*tasks)
        assert [arrival.answers for arrival in arrivals] == [[b"reply 1"]] * 3

    play(scenario)


def test_with_customer_service_the_first_delivery_is_answered_in_time() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, _ = two(registered(handler, Text), store, LateReply.CUSTOMER_SERVICE)
        arrival = Arrival()
        task = start(one, arrival)
        await asyncio.sleep(deliveries.WAITS)
        assert arrival.answers == [b"success"]
        handler.go_on.set()
        await task
        assert len(await lane(store, CUSTOMER_SERVICE)) == 1

    play(scenario)


def test_with_success_a_late_reply_is_dropped() -> None:
    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        one, _ = two(registered(handler, Text), store, LateReply.SUCCESS)
        arrival = Arrival()
        task = start(one, arrival)
        await asyncio.sleep(deliveries.WAITS)
        assert arrival.answers == [b"success"]
        (stored,) = await lane(store, BACKGROUND)
        assert not stored_message(stored).with_reply
        handler.go_on.set()
        await task
        assert await lane(store, CUSTOMER_SERVICE) == []

    play(scenario)


def test_a_claim_is_renewed_while_its_handler_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (claims, deliveries):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.12)

    async def scenario() -> None:
        handler = Handler()
        one, other = two(registered(handler, Text), MemoryStore(60))
        first, second = Arrival(), Arrival()
        tasks = [start(one, first)]
        await asyncio.sleep(0.3)
        tasks.append(start(other, second))
        await asyncio.sleep(0.05)
        assert handler.runs == 1
        handler.go_on.set()
        await asyncio.gather(*tasks)

    play(scenario)


def test_a_dead_processs_message_is_the_next_deliverys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.1)

    async def scenario() -> None:
        handler, store = Handler(), MemoryStore(60)
        _, other = two(registered(handler, Text), store)
        await store.commit([claims.Claim(b"key", b"dead one")])
        handler.go_on.set()
        arrival = Arrival()
        await other.answer(arrival)
        assert arrival.answers == [b"reply 1"]

    play(scenario)


def test_a_background_message_is_stored_before_it_is_answered() -> None:
    async def scenario() -> None:
        bot, store = Bot(), MemoryStore(60)
        ran: list[Message] = []
        bot.on(Text, background=True, instant="wait")(ran.append)
        one, other = two(bot, store)
        first, again = Arrival(), Arrival()
        await one.answer(first)
        await other.answer(again)
        assert (first.answers, again.answers) == ([b"wait"], [b"wait"])
        (stored,) = await lane(store, BACKGROUND)
        assert stored_message(stored).message == first.message
        assert (stored.account, stored.kind) == ("main", "Text")
        assert ran == []

    play(scenario)


class Broken(MemoryStore):
    """A store that fails steps of one kind."""

    failing: type[Step] | None = None

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Fail the batch that holds such a step."""
        if self.failing is not None and any(isinstance(step, self.failing) for step in steps):
            raise StoreDown("broken")
        return await super().commit(steps)


def test_what_nothing_durable_takes_is_not_answered() -> None:
    async def scenario() -> None:
        bot, store = Bot(), Broken(60)
        store.failing = claims.Claim
        bot.on(Text, background=True)(lambda _message: None)
        one, _ = two(bot, store)
        arrival = Arrival()
        with pytest.raises(StoreDown):
            await one.answer(arrival)
        assert arrival.answers == []
        store.failing = None
        await one.answer(arrival)
        assert arrival.answers == [b"success"]

    play(scenario)


def test_a_message_that_cannot_be_given_up_durably_is_left_to_wechat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        handler, store = Handler(), Broken(60)
        store.failing = GiveUp
        one, _ = two(registered(handler, Text), store, LateReply.CUSTOMER_SERVICE)
        arrival = Arrival()
        task = start(one, arrival)
        await asyncio.sleep(deliveries.WAITS)
        assert arrival.answers == []
        handler.go_on.set()
        await task
        assert arrival.answers == [b"reply 1"]

    play(scenario)
    assert "broken" in caplog.text


def test_a_late_reply_waits_for_the_store_that_knows_whether_it_was_given_up() -> None:
    """Two processes answered once: one without the store, one that had taken the message over."""

    async def scenario() -> None:
        handler, store = Handler(), Broken(60)
        one, _ = two(registered(handler, Text), store)
        first, last = Arrival(), Arrival()
        leading = start(one, first)
        await asyncio.sleep(deliveries.WAITS)
        store.failing = Finish
        handler.go_on.set()
        await asyncio.sleep(0.05)
        assert first.answers == []
        last.sent_after = 1.0
        joined = start(one, last)
        await asyncio.wait([joined])
        assert last.answers == [b"success"]
        store.failing = None
        await leading
        assert [entry.kind for entry in await lane(store, CUSTOMER_SERVICE)] == ["text"]

    play(scenario)


def test_only_so_many_replies_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MAX_RECENT", 10)

    async def scenario() -> None:
        bot = Bot()
        bot.on(Text)(lambda message: message.content)
        one, _ = two(bot, MemoryStore(60))
        for number in range(30):
            await one.answer(Arrival(key=b"%d" % number))
        assert len(one._recent) == 10
        assert one._runs == {}

    play(scenario)
