"""Whoever wants a message's event has an entry of it in a lane of their own; nobody else has."""

from typing import Any, Final

import msgspec
import pytest

from gateway import CloudEvent, Context, Message
from gateway.inbound.claims import Entry
from gateway.inbound.outbox import NOBODY, Outbox, Subscription
from gateway.inbound.ports import Callback
from gateway.protocol.cloudevents import encode
from gateway.protocol.decode import decode
from tests.inbound.driving import TRACE, make_context
from tests.support import APP_ID, NOW, OPEN_ID, make_account, text_document

KEY: Final = bytes(range(16))
TEXT: Final = decode(text_document())
SUBSCRIBED: Final = decode({"MsgType": "event", "Event": "subscribe"})
ALL: Final = Subscription("sink.all", ("*",))

DEEP: Final[list[Any]] = []
for _ in range(100_000):
    DEEP[:] = [[*DEEP]]


def entries_of(outbox: Outbox, message: Message = TEXT, account: str = "main") -> tuple[Entry, ...]:
    """Return the entries of a message to an account."""
    context = make_context()
    context.account = make_account(name=account)
    return outbox.entries(KEY, message, context)


def lanes_of(outbox: Outbox, message: Message = TEXT, account: str = "main") -> list[str]:
    """Return the lanes that a message to an account goes to."""
    return [entry.lane for entry in entries_of(outbox, message, account)]


def test_an_entry_is_the_event_as_its_consumers_read_it() -> None:
    (entry,) = entries_of(Outbox([Subscription("sink.crm", ("message.*",))]))
    assert entry[:3] == ("sink.crm", "main", "message.text")
    assert entry.delay == 0.0
    event = msgspec.json.decode(entry.body, type=CloudEvent)
    assert (event.id, event.source, event.type) == (KEY.hex(), "/wechat/main", "message.text")
    assert (event.account, event.appid, event.subject) == ("main", APP_ID, OPEN_ID)
    assert event.traceid == TRACE
    assert event.data["content"] == "你好"


@pytest.mark.parametrize(
    ("types", "of_text", "of_subscribe"),
    [
        (("*",), True, True),
        (("message.text",), True, False),
        (("message.*",), True, False),
        (("user.*",), False, True),
        (("user.subscribed", "message.*"), True, True),
        (("message",), False, False),
        (("command/*",), False, False),
        ((), False, False),
    ],
    ids=str,
)
def test_a_subscriber_gets_the_types_and_families_that_it_names(
    types: tuple[str, ...], of_text: bool, of_subscribe: bool
) -> None:
    outbox = Outbox([Subscription("sink.one", types)])
    assert lanes_of(outbox) == ["sink.one"] * of_text
    assert lanes_of(outbox, SUBSCRIBED) == ["sink.one"] * of_subscribe


@pytest.mark.parametrize(
    ("accounts", "of_main", "of_shop"),
    [
        (None, True, True),
        (frozenset({"main"}), True, False),
        (frozenset({"main", "shop"}), True, True),
        (frozenset(), False, False),
    ],
    ids=["all", "one", "both", "none"],
)
def test_a_subscriber_gets_the_accounts_that_it_names(
    accounts: frozenset[str] | None, of_main: bool, of_shop: bool
) -> None:
    """One outbox is asked for both: what it worked out for one account is not the other's."""
    outbox = Outbox([Subscription("sink.one", ("*",), accounts)])
    for _ in range(2):
        assert lanes_of(outbox, account="main") == ["sink.one"] * of_main
        assert lanes_of(outbox, account="shop") == ["sink.one"] * of_shop


def test_everyone_who_wants_an_event_has_the_same_one_in_a_lane_of_their_own() -> None:
    subscriptions = [
        Subscription("sink.a", ("message.*",)),
        Subscription("sink.b", ("user.*",)),
        Subscription("event.c", ("message.text",)),
    ]
    first, second = entries_of(Outbox(subscriptions))
    assert (first.lane, second.lane) == ("sink.a", "event.c")
    assert first == second._replace(lane="sink.a")


@pytest.mark.parametrize(
    "outbox",
    [NOBODY, Outbox([Subscription("sink.b", ("user.*",))]), Outbox([ALL._replace(types=())])],
    ids=["nobody", "another type", "no type"],
)
def test_where_nobody_wants_it_no_event_is_made(outbox: Outbox) -> None:
    class Unasked(Context):
        def find_trace_id(self) -> str:
            raise AssertionError("an event was begun")

    assert outbox.entries(KEY, TEXT, Unasked(make_account(), b"")) == ()


@pytest.mark.parametrize("wanted", [False, True], ids=["alone", "beside an event"])
def test_the_archive_gets_every_message_as_it_came(wanted: bool) -> None:
    outbox = Outbox([ALL] if wanted else [], archive=True)
    context = make_context()
    context.arrived_at = NOW + 0.5
    archived, *others = outbox.entries(KEY, TEXT, context)
    assert archived[:3] == ("archive", "main", "Text")
    callback = msgspec.msgpack.decode(archived.body, type=Callback)
    assert callback[:5] == (KEY.hex(), "main", "Text", OPEN_ID, NOW + 0.5)
    assert msgspec.json.decode(callback.document) == text_document()
    assert [entry.lane for entry in others] == ["sink.all"] * wanted


@pytest.mark.parametrize("odd", ["\ud800", DEEP], ids=["half a character", "too deep"])
def test_an_event_that_cannot_be_encoded_is_an_empty_entry(odd: Any) -> None:
    """So that its message is handled all the same, and its consumers make a dead letter of it."""
    outbox = Outbox([ALL, Subscription("event.log", ("message.text",))])
    entries = entries_of(outbox, decode(text_document(New=odd)))
    assert entries == tuple(
        Entry(lane, "main", "message.text", b"") for lane in ("sink.all", "event.log")
    )


def test_who_subscribes_later_gets_what_comes_from_then_on() -> None:
    outbox = Outbox([])
    assert lanes_of(outbox) == []
    for number in range(3):
        outbox.subscribe(Subscription(f"event.{number}", ("message.*",)))
        # Asked each time: what was worked out before must not stay.
        assert lanes_of(outbox) == [f"event.{earlier}" for earlier in range(number + 1)]
        assert lanes_of(outbox, SUBSCRIBED) == []


def produced(type_: str = "command/stop", data: Any = None) -> CloudEvent:
    """Return another producer's event."""
    return CloudEvent(
        specversion="1.0",
        id=KEY.hex(),
        source="/events/billing",
        type=type_,
        datacontenttype="application/json",
        data=data,
    )


def test_another_producers_event_goes_to_whoever_wants_its_type_and_is_no_accounts() -> None:
    outbox = Outbox(
        [
            ALL,
            Subscription("sink.wechat", ("message.*",)),
            Subscription("sink.main", ("*",), frozenset({"main"})),
            Subscription("event.stop", ("command/*",)),
        ],
        archive=True,
    )
    event = produced()
    assert outbox.produced(event) == tuple(
        Entry(lane, "", "command/stop", encode(event)) for lane in ("sink.all", "event.stop")
    )


def test_another_producers_event_that_nobody_wants_is_nothing() -> None:
    assert Outbox([Subscription("sink.wechat", ("message.*",))]).produced(produced()) == ()


@pytest.mark.parametrize("odd", ["\ud800", DEEP], ids=["half a character", "too deep"])
def test_another_producers_event_that_cannot_be_encoded_is_refused(odd: Any) -> None:
    with pytest.raises(ValueError, match=r"surrogates|nested too deeply"):
        Outbox([ALL]).produced(produced(data=odd))
