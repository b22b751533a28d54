"""Receipts close the jobs that caused them, whenever they come: over real SQLite files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from gateway import Message
from gateway.errors import StoreDown
from gateway.inbound.claims import Entry
from gateway.inbound.ports import Wanted
from gateway.inbound.receipts import (
    FORGOTTEN_SECONDS,
    RECEIPT,
    ReceiptJoiner,
    receipt_entry,
)
from gateway.outbound.jobs import Channel, Closed, Receipt, State
from gateway.outbound.requests import MassTo
from gateway.protocol.decode import decode
from gateway.telemetry.tracing import origin_of, span
from tests.inbound.driving import make_context
from tests.inbound.pushed import Pushed, pushed
from tests.inbound.whole import play
from tests.outbound.pool import DATA, user
from tests.support import NOW, text_document
from tests.traced import CALLBACK, ORIGIN, Traced, id_of, links_of, parent_of

NUMBER: Final = 1 << 60
"""A message's number, longer than a float can tell."""


def event(name: str, number: int = 1, **fields: Any) -> Message:
    """Return an event of a user."""
    head = {"MsgType": "event", "Event": name, "FromUserName": user(number), "CreateTime": NOW}
    return decode(head | fields)


def template_receipt(status: str = "success", number: int = 1) -> Message:
    """Return the receipt of a template message."""
    return event("TEMPLATESENDJOBFINISH", number, MsgID=str(NUMBER), Status=status)


def notice_receipt(*results: tuple[str, int, int]) -> Message:
    """Return the receipt of some notices: template id, number and error code of each."""
    items = [
        {"TemplateId": id_, "MsgID": str(number), "ErrorCode": str(code), "ErrorStatus": "said"}
        for id_, number, code in results
    ]
    return event("subscribe_msg_sent_event", SubscribeMsgSentEvent={"List": items})


async def arrive(one: Pushed, message: Message) -> None:
    """Store a receipt as its callback does."""
    entry = receipt_entry(message, make_context())
    assert entry is not None
    await one.store_entry(entry)


async def join(one: Pushed) -> int:
    """Join the receipts that are due; return how many those were."""
    return await one.take(RECEIPT, ReceiptJoiner(one.queue, lambda: one.now).join)


def test_only_receipts_have_an_entry() -> None:
    assert receipt_entry(decode(text_document()), make_context()) is None
    assert receipt_entry(event("subscribe"), make_context()) is None
    entry = receipt_entry(template_receipt(), make_context())
    assert entry is not None
    assert entry[:3] == (RECEIPT, "main", "TemplateSendJobFinish")


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("success", State.DELIVERED, ""),
        ("failed:user block", State.FAILED, "receipt: failed:user block"),
        ("failed: system failed", State.FAILED, "receipt: failed: system failed"),
    ],
)
def test_a_receipt_closes_the_message_that_has_its_number(
    status: str, state: State, reason: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await one.push.template("main", user(1), "order-shipped", DATA)
            await one.send(Channel.TEMPLATE, str(NUMBER))
            one.now += 3
            await arrive(one, template_receipt(status))
            assert await join(one) == 1
            (record,) = await one.messages()
            assert (record.state, record.reason) == (state, reason)
            assert record.receipt_at == one.now
            assert await one.waiting(RECEIPT) == 0

    play(scenario)


def test_a_receipt_that_comes_before_the_answer_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await one.push.template("main", user(1), "order-shipped", DATA)
            await arrive(one, template_receipt())
            assert await join(one) == 1
            assert await join(one) == 0, "it is put back, for later"
            assert await one.waiting(RECEIPT) == 1
            await one.send(Channel.TEMPLATE, str(NUMBER))
            one.now += 1
            assert await join(one) == 1
            (record,) = await one.messages()
            assert (record.state, record.receipt_at) == (State.DELIVERED, NOW)
            assert await one.waiting(RECEIPT) == 0

    play(scenario)


def test_a_receipt_of_what_something_else_sent_is_forgotten_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await arrive(one, template_receipt())
            looks = 0
            while await one.waiting(RECEIPT):
                looks += await join(one)
                one.now += 1
                assert one.now < NOW + 2 * FORGOTTEN_SECONDS
            assert one.now > NOW + FORGOTTEN_SECONDS
            assert looks < 30, "each pause is longer than the one before"
            assert await one.dead.find(Wanted(), 10) == []

    play(scenario)


def test_the_first_receipt_counts_and_none_is_another_account_s(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await one.push.template("main", user(1), "order-shipped", DATA)
            await one.send(Channel.TEMPLATE, str(NUMBER))
            entry = receipt_entry(template_receipt(), make_context())
            assert entry is not None
            await one.store_entry(entry._replace(account="other"))
            await join(one)
            assert [record.state for record in await one.messages()] == [State.SENT]
            await arrive(one, template_receipt("failed:user block"))
            await join(one)
            await arrive(one, template_receipt("success"))
            await join(one)
            assert [record.state for record in await one.messages()] == [State.FAILED]

    play(scenario)


def test_notices_are_closed_each_by_its_own_item(tmp_path: Path) -> None:
    """A notice has no number until then: the oldest of the user's with the template is meant."""

    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            for _ in range(2):
                await one.push.template("main", user(1), "order-notice", DATA)
                await one.send(Channel.NOTICE, None)
                one.now += 1
            await arrive(one, notice_receipt(("T1", 5, 0), ("T1", 6, 43101)))
            await join(one)
            first, second = await one.messages()
            assert (first.state, first.message_id) == (State.DELIVERED, "5")
            assert (second.state, second.reason) == (State.FAILED, "receipt: 43101 said")

    play(scenario)


def test_what_one_event_tells_of_two_messages_waits_for_both(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await one.push.template("main", user(1), "order-notice", DATA)
            await one.send(Channel.NOTICE, None)
            await arrive(one, notice_receipt(("T1", 5, 0), ("T1", 6, 0)))
            await join(one)
            assert await one.waiting(RECEIPT) == 1
            await one.push.template("main", user(1), "order-notice", DATA)
            await one.send(Channel.NOTICE, None)
            one.now += 1
            await join(one)
            assert {record.state for record in await one.messages()} == {State.DELIVERED}
            assert await one.waiting(RECEIPT) == 0

    play(scenario)


def test_a_mass_message_s_receipt_tells_how_many_got_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            said = {"msgtype": "text", "text": {"content": "hi"}}
            await one.push.mass("main", said, MassTo(everybody=True))
            await one.send(Channel.MASS, "34182")
            counts: dict[str, Any] = {"FilterCount": "80", "SentCount": "75"}
            status: dict[str, Any] = {"MsgID": "34182", "Status": "send success"}
            await arrive(one, event("MASSSENDJOBFINISH", **status, **counts))
            await join(one)
            (record,) = await one.messages()
            assert record.state is State.DELIVERED
            assert record.reason == "75 of 80 followers got it"

    play(scenario)


def test_what_is_no_receipt_is_a_dead_letter_and_holds_up_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await one.push.template("main", user(1), "order-shipped", DATA)
            await one.send(Channel.TEMPLATE, str(NUMBER))
            await one.store_entry(Entry(RECEIPT, "main", "TemplateSendJobFinish", b"\xc1"))
            await arrive(one, template_receipt())
            assert await join(one) == 2
            (letter,) = await one.dead.find(Wanted(), 10)
            assert letter.reason == "unreadable"
            assert [record.state for record in await one.messages()] == [State.DELIVERED]

    play(scenario)


def test_while_the_queue_is_down_receipts_stay(tmp_path: Path) -> None:
    class Down:
        async def receive(self, _receipts: Sequence[Receipt]) -> list[Closed | None]:
            raise StoreDown("no Postgres")

    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            await arrive(one, template_receipt())
            joiner = ReceiptJoiner(Down(), lambda: one.now)
            with pytest.raises(StoreDown):
                await one.take(RECEIPT, joiner.join)
            assert await one.waiting(RECEIPT) == 1

    play(scenario)


def test_more_receipts_than_are_taken_at_once_close_all_their_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            for number in range(300):
                await one.push.template("main", user(number), "order-shipped", DATA)
                await one.send(Channel.TEMPLATE, str(number))
                event_ = event("TEMPLATESENDJOBFINISH", number, MsgID=str(number), Status="success")
                await arrive(one, event_)
            assert await join(one) == 256
            assert await join(one) == 44
            assert {record.state for record in await one.messages()} == {State.DELIVERED}

    play(scenario)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_a_receipt_is_in_its_job_s_trace_and_its_callback_s_linked_to_each_other(
    tmp_path: Path, traced: Traced, is_sampled: bool
) -> None:
    async def scenario() -> None:
        async with pushed(tmp_path) as one:
            with span("of a handler", origin=origin_of(ORIGIN)):
                await one.push.template("main", user(1), "order-shipped", DATA)
            await one.send(Channel.TEMPLATE, str(NUMBER))
            context = make_context()
            if is_sampled:
                context.trace = traced.begin("12" * 16)
            entry = receipt_entry(template_receipt(), context)
            assert entry is not None
            assert (b"gateway_origin" in entry.body) is is_sampled
            await one.store_entry(entry)
            assert await join(one) == 1
            if context.trace is not None:
                context.trace.end(200)

    play(scenario)
    sent, received = traced.one("send push"), traced.one("receive receipt")
    assert parent_of(received) == id_of(sent)
    assert (received.attributes or {})["gateway.outcome"] == "delivered"
    if not is_sampled:
        assert links_of(received) == []
        assert {one.name for one in traced.spans()} == {
            "of a handler",
            "send push",
            "receive receipt",
        }
        return
    callback, settled = traced.one(CALLBACK), traced.one("settle receipt")
    assert links_of(received) == [id_of(callback)]
    assert parent_of(settled) == id_of(callback)
    assert links_of(settled) == [id_of(sent)]
