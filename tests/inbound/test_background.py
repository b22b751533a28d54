"""A stored message meets its handler once its turn has come, and its reply goes to its user."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway import Bot, Context, Reply, Text, TextReply, TransferReply
from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.adapters.spill import FileSpill
from gateway.errors import StoreDown
from gateway.inbound.background import Background
from gateway.inbound.claims import (
    LEASE_SECONDS,
    Claim,
    Entry,
    Finish,
    GiveUp,
    Outcome,
    Release,
    Renew,
    Step,
)
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Consumer, Later, Never, Policy, Shared
from gateway.inbound.ingest import HandlerFailed, Ingest
from gateway.inbound.ports import Taken
from gateway.inbound.spilling import Spilling
from gateway.inbound.stored import (
    BACKGROUND,
    CUSTOMER_SERVICE,
    ORIGIN,
    store_message,
    stored_message,
)
from gateway.protocol.decode import decode
from gateway.telemetry.metrics import Metrics
from tests.inbound.driving import TRACE, make_context, registered
from tests.inbound.whole import play
from tests.support import NOW, OPEN_ID, make_account, text_document

KEY: Final = b"a key of a message"
KEEP: Final = 600.0
"""Seconds that messages are remembered."""

INLINE: Final = b"process1"
"""Who had the message first, by an inline handler."""

MESSAGE: Final = decode(text_document())
JOB: Final = {
    "touser": OPEN_ID,
    "msgtype": "text",
    "text": {"content": "done"},
    ORIGIN: TRACE,
}


def stored(message: Any = MESSAGE, *, late: bool = False, with_reply: bool = True) -> Entry:
    """Return the entry of a message."""
    context = make_context(b"a=b&c=%20")
    return store_message(KEY, message, context, late=late, with_reply=with_reply)


def taken(entry: Entry, deliveries: int = 1) -> Taken:
    """Return an entry as its consumer gets it."""
    return Taken("1", entry, deliveries, NOW)


class Handler:
    """A handler that notes its runs, and returns or raises what it is told to."""

    def __init__(self, value: Any = "done") -> None:
        self.value = value
        self.seen: list[tuple[Text, Context]] = []

    async def __call__(self, message: Text, context: Context) -> Any:
        self.seen.append((message, context))
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


class World:
    """A store, at a time that passes when it is told to, and what handles its background lane."""

    def __init__(self, handler: Any) -> None:
        self.now = float(NOW)
        self.store = MemoryStore(KEEP, lambda: self.now)
        self.bot = registered(handler, Text)

    def background(self, owner: bytes = b"process2") -> Background:
        """Return what a process handles with."""
        commit = GroupCommit(self.store.commit)
        return Background(Ingest(self.bot), {"main": make_account()}, commit, owner)

    async def lane(self, name: str = CUSTOMER_SERVICE) -> list[Any]:
        """Return the bodies of a lane."""
        # What is posted is sent behind what is ready now.
        await asyncio.sleep(0)
        kept = self.store._entries.values()
        return [msgspec.json.decode(k.entry.body) for k in kept if k.entry.lane == name]

    async def give_up(self) -> None:
        """Let a message be answered before its inline handler is done, which has it still."""
        entry = stored(late=True)._replace(lane="noted")
        await self.store.commit([Claim(KEY, INLINE), GiveUp(KEY, b"success", entry)])


def test_a_handler_gets_the_message_and_its_delivery_as_they_came() -> None:
    async def scenario() -> None:
        handler = Handler()
        await World(handler).background().handle(taken(stored(), deliveries=3))
        ((message, context),) = handler.seen
        assert message == MESSAGE
        assert message.raw == text_document()
        assert (context.account.name, context.attempt) == ("main", 3)
        assert (context.raw_query, context.query["a"]) == (b"a=b&c=%20", "b")
        assert (context.trace_id, context.arrived_at) == (TRACE, 0.0)

    play(scenario)


@pytest.mark.parametrize(
    ("value", "job"),
    [
        ("done", JOB),
        (TextReply("done"), JOB),
        (None, None),
        ("", None),
        # Only a passive reply can do that.
        (TransferReply(), None),
    ],
    ids=repr,
)
def test_what_the_handler_returns_is_for_its_user(value: Reply | str | None, job: Any) -> None:
    async def scenario() -> None:
        world = World(Handler(value))
        entries = await world.background().handle(taken(stored()))
        assert [(e.lane, e.account, e.kind, e.delay) for e in entries] == (
            [(CUSTOMER_SERVICE, "main", "text", 0.0)] if job else []
        )
        assert [msgspec.json.decode(entry.body) for entry in entries] == ([job] if job else [])

    play(scenario)


def test_a_reply_that_only_a_callbacks_answer_can_bring_is_said_to_be_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        await World(Handler(TransferReply())).background().handle(taken(stored()))

    play(scenario)
    assert caplog.messages == [
        "a late reply was dropped: only a passive reply can do that type=TransferReply",
    ]


@pytest.mark.parametrize("late", [False, True], ids=["stored at once", "late"])
def test_a_message_whose_reply_nobody_waits_for_is_handled_all_the_same(late: bool) -> None:
    async def scenario() -> None:
        handler = Handler()
        world = World(handler)
        await world.give_up()
        world.now += LEASE_SECONDS
        entry = stored(late=late, with_reply=False)
        assert await world.background().handle(taken(entry)) == ()
        assert len(handler.seen) == 1
        assert await world.lane() == []

    play(scenario)


def test_the_reply_is_stored_where_customer_service_messages_are_sent_from() -> None:
    async def scenario() -> None:
        world = World(Handler())
        await world.store.commit([Claim(KEY, INLINE, (stored(),), b"success")])
        commit = GroupCommit(world.store.commit)
        shared = Shared(
            *(world.store, commit, MemoryDeadLetters(), b"process2", Policy(3, 1.0, 1.0)),
            random=lambda: 0.5,
            clock=lambda: world.now,
            metrics=Metrics(),
        )
        consumer = Consumer(BACKGROUND, world.background().handle, shared, 4)
        running = asyncio.create_task(consumer.run())
        while [kept.entry.lane for kept in world.store._entries.values()] != [CUSTOMER_SERVICE]:
            await asyncio.sleep(0.002)
        assert await world.lane() == [JOB]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    play(scenario)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            stored()._replace(account="gone"),
            "account: the settings have none called gone",
        ),
        *(
            (
                stored()._replace(body=body),
                "unreadable: the entry holds no message; was the gateway changed?",
            )
            for body in (b"", b"{}", msgspec.msgpack.encode({"key": 1}), stored().body[:-20])
        ),
    ],
    ids=["account", "empty", "json", "another form", "cut"],
)
def test_what_cannot_be_handled_here_never_will_be(entry: Entry, reason: str) -> None:
    async def scenario() -> None:
        handler = Handler()
        with pytest.raises(Never) as never:
            await World(handler).background().handle(taken(entry))
        assert never.value.reason == reason
        assert handler.seen == []

    play(scenario)


def test_a_message_that_no_handler_takes_any_more_is_done() -> None:
    async def scenario() -> None:
        world = World(Handler())
        world.bot = Bot()
        assert await world.background().handle(taken(stored())) == ()

    play(scenario)


def test_a_handler_that_fails_is_for_the_consumer_to_try_again() -> None:
    async def scenario() -> None:
        with pytest.raises(HandlerFailed) as failed:
            await World(Handler(LookupError())).background().handle(taken(stored()))
        assert isinstance(failed.value.__cause__, LookupError)

    play(scenario)


def test_a_late_message_waits_as_long_as_its_inline_handler_holds_it() -> None:
    async def scenario() -> None:
        handler = Handler()
        world = World(handler)
        await world.give_up()
        background = world.background()
        for _ in range(5):
            world.now += LEASE_SECONDS - 0.1
            with pytest.raises(Later) as later:
                await background.handle(taken(stored(late=True)))
            assert later.value.seconds == 2 * LEASE_SECONDS
            await world.store.commit([Renew(KEY, INLINE)])
        assert handler.seen == []

    play(scenario)


@pytest.mark.parametrize("end", ["dies", "fails", "is forgotten"])
def test_a_late_message_is_handled_where_its_inline_handler_is_gone(end: str) -> None:
    """Forgotten, where nobody came for its entry as long as messages are remembered."""

    async def scenario() -> None:
        handler = Handler()
        world = World(handler)
        await world.give_up()
        if end == "fails":
            await world.store.commit([Release(KEY, INLINE)])
        else:
            world.now += LEASE_SECONDS if end == "dies" else KEEP + 1
        # Its entries are stored in the step that ends the claim, not in the consumer's.
        assert await world.background().handle(taken(stored(late=True), deliveries=2)) == ()
        assert await world.lane() == [JOB]
        ((_, context),) = handler.seen
        assert context.attempt == 2
        # The consumer died before it could say so, and the entry comes again.
        assert await world.background(b"process3").handle(taken(stored(late=True))) == ()
        assert len(handler.seen) == 1
        assert await world.lane() == [JOB]
        # WeChat's own tries go on being answered as before.
        (outcome,) = await world.store.commit([Claim(KEY, INLINE)])
        assert outcome.reply == b"success"

    play(scenario)


def test_a_late_message_whose_reply_was_given_meanwhile_is_done() -> None:
    async def scenario() -> None:
        handler = Handler()
        world = World(handler)
        await world.give_up()
        mine = Entry(CUSTOMER_SERVICE, "main", "text", b'"the inline handler\'s"')
        await world.store.commit([Finish(KEY, INLINE, b"reply", (mine,))])
        world.now += LEASE_SECONDS
        assert await world.background().handle(taken(stored(late=True))) == ()
        assert handler.seen == []
        assert await world.lane() == ["the inline handler's"]

    play(scenario)


def test_while_a_late_message_is_handled_no_other_process_has_it() -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()
        begun = asyncio.Event()

        async def slow(_message: Text) -> str:
            begun.set()
            await go_on.wait()
            return "done"

        world = World(slow)
        await world.give_up()
        world.now += LEASE_SECONDS
        one = asyncio.create_task(world.background().handle(taken(stored(late=True))))
        await begun.wait()
        with pytest.raises(Later):
            await world.background(b"process3").handle(taken(stored(late=True)))
        go_on.set()
        assert await one == ()
        assert await world.lane() == [JOB]

    play(scenario)


def test_a_late_message_is_not_done_where_the_store_goes_before_its_reply_is_kept(
    tmp_path: Path,
) -> None:
    """A drill lost a reply so: the process's own claims, which knew nothing of it, finished it."""

    async def scenario() -> None:
        handler = Handler()
        world = World(handler)
        await world.give_up()
        world.now += LEASE_SECONDS
        spill = FileSpill(tmp_path, "one")
        keeper = Spilling(world.store, spill, keep=600)

        async def commit(steps: Sequence[Step]) -> Sequence[Outcome | StoreDown]:
            if handler.seen:
                keeper._go_down(StoreDown("down"))
            return await keeper.commit(steps)

        background = Background(
            Ingest(world.bot), {"main": make_account()}, GroupCommit(commit), b"process2"
        )
        with pytest.raises(StoreDown):
            await background.handle(taken(stored(late=True)))
        world.now += LEASE_SECONDS
        # The store is back.
        assert await world.background().handle(taken(stored(late=True))) == ()
        assert await world.lane() == [JOB]
        await spill.close()

    play(scenario)


def _fail(handler: Handler, _task: asyncio.Task[Any]) -> None:
    handler.value = ValueError()


def _cancel(_handler: Handler, task: asyncio.Task[Any]) -> None:
    task.cancel()


@pytest.mark.parametrize(
    ("end", "error"),
    [(_fail, HandlerFailed), (_cancel, asyncio.CancelledError)],
    ids=["fails", "is stopped"],
)
def test_a_late_message_whose_handling_ends_is_free_at_once_for_the_next_try(
    end: Callable[[Handler, asyncio.Task[Any]], None], error: type[BaseException]
) -> None:
    async def scenario() -> None:
        handler, begun, go_on = Handler(), asyncio.Event(), asyncio.Event()

        async def slow(message: Text, context: Context) -> Any:
            begun.set()
            await go_on.wait()
            return await handler(message, context)

        world = World(slow)
        await world.give_up()
        world.now += LEASE_SECONDS
        first = asyncio.create_task(world.background().handle(taken(stored(late=True))))
        await begun.wait()
        end(handler, first)
        go_on.set()
        with pytest.raises(error):
            await first
        assert await world.lane() == []
        handler.value = "done"
        assert await world.background(b"process3").handle(taken(stored(late=True))) == ()
        assert await world.lane() == [JOB]

    play(scenario)


def test_a_number_of_any_size_is_stored_as_it_was_written() -> None:
    """JSON ends nowhere, MessagePack at 64 bits."""
    message = decode(
        {"MsgType": "text", "MsgId": 2**70, "Content": "hi", "List": [{"n": -(2**70)}]}
    )
    kept = stored_message(stored(message))
    assert kept.fields["MsgId"] == str(2**70)
    assert kept.fields["List"] == [{"n": str(-(2**70))}]
    assert kept.message == decode(kept.fields)
