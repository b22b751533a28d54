"""Other producers' events: as they were sent, by their type, stored once for whoever wants them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from gateway import CloudEvent
from gateway.adapters.memory import MemoryStore
from gateway.errors import StoreDown
from gateway.inbound.claims import Entry, Outcome, Step
from gateway.inbound.commit import GroupCommit
from gateway.inbound.outbox import Outbox, Subscription
from gateway.inbound.producers import Acknowledged, Intake, Sent, WrongEvent, produced_event
from gateway.protocol.cloudevents import MAX_TYPE, encode
from tests.inbound.driving import TRACE
from tests.inbound.whole import play
from tests.support import NOW

TYPES: Final = {"application/json": "generic/json", "text/csv": "table/rows"}
SENT: Final = Sent("billing", "msg_1", NOW, "command/stop", "application/json", b"{}", TRACE)


def made(**changes: Any) -> CloudEvent:
    """Return the event that is made of what was sent, with changes."""
    return produced_event(SENT._replace(**changes), TYPES)


class TestEvents:
    """What was sent, as an event."""

    def test_it_says_who_sent_what_and_when(self) -> None:
        event = made()
        assert (event.source, event.type, event.traceid) == (
            "/events/billing",
            "command/stop",
            TRACE,
        )
        assert event.time == "2024-05-17T22:28:56Z"
        assert (event.account, event.appid, event.subject) == (None, None, None)

    @pytest.mark.parametrize("part", [{"trace_id": None}, {"at": 0}], ids=["trace", "time"])
    def test_what_is_not_known_is_left_out(self, part: dict[str, Any]) -> None:
        whole, event = made(), made(**part)
        assert (event.traceid is None) == ("trace_id" in part)
        assert (event.time is None) == ("at" in part)
        assert len(encode(event)) < len(encode(whole))

    @pytest.mark.parametrize(
        ("message_type", "content_type", "type_"),
        [
            ("command/stop", "application/json", "command/stop"),
            ("command/stop", "", "command/stop"),
            ("", "application/json", "generic/json"),
            ("", "APPLICATION/Json ; charset=UTF-8", "generic/json"),
            ("", "text/csv;header=present", "table/rows"),
            ("", "application/vnd.x+json", "unknown/plain"),
            ("", "application/jsonl", "unknown/plain"),
            ("", "text/plain", "unknown/plain"),
            ("", "", "unknown/plain"),
        ],
    )
    def test_its_type_is_what_it_says_else_what_its_content_is_else_unknown(
        self, message_type: str, content_type: str, type_: str
    ) -> None:
        given = {"message_type": message_type, "content_type": content_type}
        assert made(**given).type == type_

    @pytest.mark.parametrize(
        "type_",
        [
            *("user.subscribed", "stop", "*", "command/*", "command/", "/stop", "a b/c", "a/b\n"),
            *("命令/停", "a/" + "b" * (MAX_TYPE - 1)),
        ],
        ids=ascii,
    )
    def test_a_type_that_is_not_a_producers_is_refused(self, type_: str) -> None:
        with pytest.raises(WrongEvent) as wrong:
            made(message_type=type_)
        assert str(wrong.value) == (
            "X-Message-Type: write FAMILY/NAME, such as command/transfer, in up to 128 letters, "
            "digits, and - or _; names without a slash are those of WeChat's own events"
        )

    def test_the_longest_type_is_taken(self) -> None:
        longest = "a/" + "b" * (MAX_TYPE - 2)
        assert made(message_type=longest).type == longest

    @pytest.mark.parametrize(
        "body",
        [
            b'{"a" : 1.0,\n "a":1e2, "b":"\\u4f60\\/", "c": 123456789012345678901234567890}',
            b" [1,  2]\r\n",
            b'"text"',
            b"null",
            b"0.10",
            '"“你好”"'.encode(),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize(
        ("content_type", "media_type"),
        [
            ("application/json", "application/json"),
            ("Application/JSON;charset=utf-8", "application/json"),
            ("application/vnd.bank.Transfer+JSON", "application/vnd.bank.transfer+json"),
        ],
    )
    def test_json_stays_as_it_came_byte_for_byte(
        self, body: bytes, content_type: str, media_type: str
    ) -> None:
        event = made(content_type=content_type, body=body)
        assert event.datacontenttype == media_type
        assert encode(event).endswith(b'"data":' + body + b"}")
        # And its consumers can read it.
        read = msgspec.json.decode(encode(event), type=CloudEvent)
        assert read.data == msgspec.json.decode(body)

    @pytest.mark.parametrize("content_type", ["", "text/plain; charset=utf-8", "text/html", "json"])
    @pytest.mark.parametrize("body", ["", "你好\n", '{"a": 1}', "\x00\x7f"], ids=ascii)
    def test_anything_else_is_text(self, content_type: str, body: str) -> None:
        event = made(content_type=content_type, body=body.encode())
        assert (event.datacontenttype, event.data) == ("text/plain", body)
        assert msgspec.json.decode(encode(event), type=CloudEvent) == event

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "truncated"),
            (b"{", "truncated"),
            (b"{'a': 1}", "malformed"),
            (b"{} {}", "malformed"),
            (b"[NaN]", "malformed"),
            (b'"half a character: \\ud800, and more"', "malformed"),
            (b"[" * 100_000 + b"]" * 100_000, "recursion depth"),
        ],
        ids=["empty", "cut", "quotes", "two", "nan", "half a character", "too deep"],
    )
    def test_json_that_is_none_is_refused(self, body: bytes, why: str) -> None:
        said = rf"^body: not the JSON that Content-Type says \(.*{why}.*\); correct one of them$"
        with pytest.raises(WrongEvent, match=said):
            made(body=body)

    def test_an_event_that_is_sent_again_has_the_same_id_whatever_else_changed(self) -> None:
        again = {"at": NOW + 9, "message_type": "", "content_type": "", "body": b"", "trace_id": ""}
        assert made(**again).id == made().id
        assert len(bytes.fromhex(made().id)) == 16

    @pytest.mark.parametrize(
        "other",
        [
            {"producer": "crm"},
            {"id": "msg_2"},
            {"producer": "billing\x1fmsg", "id": "_1"},
            {"id": ""},
        ],
        ids=str,
    )
    def test_another_event_has_another_id(self, other: dict[str, Any]) -> None:
        assert made(**other).id != made().id


class Flaky(MemoryStore):
    """A store that is down when it is told to be."""

    down = False

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps, or raise."""
        if self.down:
            raise StoreDown("no disk, no spill")
        return await super().commit(steps)


class Place:
    """Where events are taken, and what is stored of them."""

    def __init__(self) -> None:
        self.store = Flaky(600)
        self.outbox = Outbox([Subscription("sink.all", ("*",))])
        self.outbox.subscribe(Subscription("event.stop", ("command/*",)))
        self.woken = 0

    def intake(self, owner: bytes = b"process1") -> Intake:
        """Return what takes events in one process."""
        commit = GroupCommit(self.store.commit)
        return Intake(self.outbox, commit, owner, TYPES, on_stored=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def entries(self) -> list[Entry]:
        """Return all that is stored, in order."""
        return [kept.entry for kept in self.store._entries.values()]


class TestTaking:
    """Events, stored for whoever wants them."""

    def test_it_is_stored_for_everyone_who_wants_it_and_they_are_woken(self) -> None:
        async def scenario() -> None:
            place = Place()
            taken = await place.intake().take(SENT)
            assert taken == Acknowledged(made().id, "command/stop", 2)
            assert place.entries() == [
                Entry(lane, "", "command/stop", encode(made()))
                for lane in ("sink.all", "event.stop")
            ]
            assert place.woken == 1

        play(scenario)

    @pytest.mark.parametrize(
        "again",
        [
            {},
            {"at": NOW + 60, "trace_id": None},
            {"body": b"[1]"},
            {"message_type": "other/thing"},
            {"message_type": "", "content_type": "", "body": b"text"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("where", ["same process", "other process"])
    def test_whatever_is_repeated_it_is_stored_once_and_answered_the_same(
        self, again: dict[str, Any], where: str
    ) -> None:
        async def scenario() -> None:
            place = Place()
            intake = place.intake()
            first = await intake.take(SENT)
            stored = place.entries()
            if where == "other process":
                intake = place.intake(b"process2")
            for _ in range(3):
                assert await intake.take(SENT._replace(**again)) == first
            assert place.entries() == stored

        play(scenario)

    def test_many_at_once_are_one(self) -> None:
        async def scenario() -> None:
            place = Place()
            intakes = [place.intake(b"process%d" % n) for n in range(3)]
            taken = await asyncio.gather(*(i.take(SENT) for i in intakes for _ in range(5)))
            assert set(taken) == {Acknowledged(made().id, "command/stop", 2)}
            assert len(place.entries()) == 2

        play(scenario)

    def test_what_two_producers_call_the_same_is_two_events(self) -> None:
        async def scenario() -> None:
            place = Place()
            billing = await place.intake().take(SENT)
            crm = await place.intake().take(SENT._replace(producer="crm"))
            assert billing.id != crm.id
            events = [
                msgspec.json.decode(entry.body, type=CloudEvent)
                for entry in place.entries()
                if entry.lane == "sink.all"
            ]
            assert [(event.source, event.id) for event in events] == [
                ("/events/billing", billing.id),
                ("/events/crm", crm.id),
            ]

        play(scenario)

    def test_what_nobody_wants_is_not_stored_and_may_be_wanted_later(self) -> None:
        async def scenario() -> None:
            place = Place()
            place.outbox = Outbox([])
            # Nothing durable is asked for what is nobody's.
            place.store.down = True
            nobody = await place.intake().take(SENT)
            assert nobody == Acknowledged(made().id, "command/stop", 0)
            assert (place.entries(), place.woken) == ([], 0)
            place.store.down = False
            place.outbox.subscribe(Subscription("sink.late", ("command/*",)))
            assert await place.intake().take(SENT) == nobody._replace(subscribers=1)
            assert [entry.lane for entry in place.entries()] == ["sink.late"]

        play(scenario)

    def test_what_nothing_durable_takes_is_not_taken_and_may_come_again(self) -> None:
        async def scenario() -> None:
            place = Place()
            place.store.down = True
            with pytest.raises(StoreDown, match="no disk, no spill"):
                await place.intake().take(SENT)
            assert (place.entries(), place.woken) == ([], 0)
            place.store.down = False
            assert (await place.intake().take(SENT)).subscribers == 2
            assert len(place.entries()) == 2

        play(scenario)

    @pytest.mark.parametrize("wrong", [{"body": b"{"}, {"message_type": "stop"}], ids=str)
    def test_what_is_wrong_is_refused_before_anything_is_stored(
        self, wrong: dict[str, Any]
    ) -> None:
        async def scenario() -> None:
            place = Place()
            with pytest.raises(WrongEvent):
                await place.intake().take(SENT._replace(**wrong))
            assert (place.entries(), place.woken) == ([], 0)
            # It can be mended under the same id.
            assert (await place.intake().take(SENT)).subscribers == 2

        play(scenario)
