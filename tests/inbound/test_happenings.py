"""What becomes of stored messages and events is told to those who look on."""

import asyncio
from typing import Final

from gateway import Bot, Text
from gateway.inbound.background import Background
from gateway.inbound.claims import Entry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Consumer, Policy
from gateway.inbound.forwarding import Forwarder
from gateway.inbound.ingest import Ingest
from gateway.inbound.ports import Taken
from gateway.inbound.publishing import Never
from gateway.inbound.stored import BACKGROUND, store_message
from gateway.protocol.decode import decode
from gateway.telemetry.masking import open_id_hash
from tests.inbound.driving import make_context
from tests.inbound.lanes import Lanes, stop, until
from tests.inbound.test_forwarding import Sink, event
from tests.support import NOW, OPEN_ID, make_account, text_document
from tests.telemetry.onlooking import looking_on

KEY: Final = b"a key of a message"
SAID: Final = "我的密码是 hunter2"


def test_a_message_handled_in_the_background_is_told_of_by_its_id() -> None:
    bot = Bot()

    @bot.on(Text, background=True)
    async def handle(_message: Text) -> None:
        return None

    lanes = Lanes(Policy(3, 0.01, 0.1))
    commit = GroupCommit(lanes.store.commit)
    background = Background(Ingest(bot), {"main": make_account()}, commit, b"one")
    entry = store_message(KEY, decode(text_document(SAID)), make_context())
    with looking_on() as told:
        asyncio.run(background.handle(Taken("1", entry, 1, NOW)))
    (one,) = told
    assert (one.what, one.account, one.type, one.outcome) == ("handled", "main", "Text", "ok")
    assert (one.user, one.id) == (open_id_hash(OPEN_ID), KEY.hex())
    assert one.seconds is not None
    assert OPEN_ID not in str(told)
    assert "hunter2" not in str(told)


def test_what_fails_is_told_of_each_time_and_in_the_end() -> None:
    lanes = Lanes(Policy(2, 0.0, 0.0))

    async def handle(_taken: Taken) -> tuple[Entry, ...]:
        raise ValueError(SAID)

    async def scenario() -> None:
        await lanes.store_entries(Entry(BACKGROUND, "main", "Text", b"body"))
        running = asyncio.create_task(Consumer(BACKGROUND, handle, lanes.shared(), 1).run())
        await until(lambda: not lanes.store._entries)
        await stop(running)

    with looking_on() as told:
        asyncio.run(scenario())
    assert [(one.what, one.account, one.type, one.id) for one in told] == [
        ("retried", "main", "Text", "background/1"),
        ("buried", "main", "Text", "background/1"),
    ]
    assert all(one.detail.startswith("failed: ValueError at ") for one in told)
    assert "hunter2" not in str(told)


def test_what_became_of_an_event_for_a_sink_is_told_of() -> None:
    lanes, sink = Lanes(Policy(3, 1.0, 10.0)), Sink()
    sink.answers["b"] = Never("gone: 410")

    async def scenario() -> None:
        bodies = (event("a"), event("b"))
        await lanes.store_entries(
            *(Entry("sink.crm", "main", "message.text", body) for body in bodies)
        )
        forwarder = Forwarder("sink.crm", sink, lanes.shared())
        running = asyncio.create_task(forwarder.run())
        await until(lambda: not lanes.store._entries)
        await stop(running)

    with looking_on() as told:
        asyncio.run(scenario())
    found = [(one.what, one.type, one.id, one.outcome, one.detail) for one in told]
    assert found[:2] == [
        ("forwarded", "message.text", "a", "accepted", "to crm"),
        ("forwarded", "message.text", "b", "never", "to crm: gone: 410"),
    ]
    assert [one.what for one in told[2:]] == ["buried"]
