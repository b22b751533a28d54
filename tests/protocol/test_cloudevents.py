"""Events in CloudEvents' form: one type to a message, valid attributes, nothing lost."""

import json
import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway
from gateway.inbound.publishing import Outgoing, outgoing_of
from gateway.protocol import events, messages
from gateway.protocol.cloudevents import TYPES, CloudEvent, encode, event_of, matches, matches_any
from gateway.protocol.decode import COMPONENT_PUSHES, EVENTS, MESSAGES, decode
from gateway.protocol.dedupe import dedupe_key
from tests.protocol.test_decode import ACCEPTED, load
from tests.support import APP_ID, NOW, OPEN_ID, text_document

TRACE: Final = "0123456789abcdef0123456789abcdef"
REQUIRED: Final = {"specversion", "id", "source", "type"}
CHARACTERS: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]+")


def make(fields: dict[str, Any], **changes: Any) -> CloudEvent:
    """Return the event of a callback with these fields."""
    message = decode(fields)
    key = dedupe_key(APP_ID, message)
    given: dict[str, Any] = {"trace_id": TRACE} | changes
    return event_of("main", APP_ID, message, key, **given)


def check(encoded: bytes) -> dict[str, Any]:
    """Look whether this is an event as CloudEvents 1.0 and its JSON format say; return it."""
    event: dict[str, Any] = json.loads(encoded)
    assert event.keys() >= REQUIRED
    assert event["specversion"] == "1.0"
    for name, value in event.items():
        assert re.fullmatch("[a-z0-9]+", name), "lower-case letters and digits"
        if name != "data":
            assert isinstance(value, str)
            assert CHARACTERS.fullmatch(value), "not empty, and no control characters"
    assert urlsplit(event["source"]).path, "a URI reference that is not empty"
    if "time" in event:
        # RFC 3339, section 5.6.
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", event["time"]
        )
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event.get("datacontenttype", "application/json") == "application/json"
    return event


def test_everything_that_can_arrive_has_exactly_one_type() -> None:
    unknown = {messages.UnknownMessage, events.UnknownEvent, events.UnknownComponentPush}
    arriving = {*MESSAGES.values(), *EVENTS.values(), *COMPONENT_PUSHES.values(), *unknown}
    assert set(TYPES) == arriving
    assert len(set(TYPES.values())) == len(TYPES)


def test_what_is_exported_without_a_type_is_the_base_of_something_that_has_one() -> None:
    exported = {getattr(gateway, name) for name in gateway.__all__}
    for kind in exported:
        if isinstance(kind, type) and issubclass(kind, messages.Message) and kind not in TYPES:
            assert any(issubclass(other, kind) for other in TYPES), kind


def test_types_are_dotted_words_in_lower_case() -> None:
    for type_ in TYPES.values():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", type_)


@pytest.mark.parametrize("sample", ACCEPTED, ids=lambda sample: str(sample["file"]))
def test_every_sample_is_a_valid_event_that_has_all_of_it(sample: dict[str, Any]) -> None:
    fields = load(sample["file"])
    event = check(encode(make(fields)))
    assert event["type"] in TYPES.values()
    assert event["source"] == "/wechat/main"
    message = decode(fields)
    known = {field.encode_name for field in msgspec.structs.fields(type(message))}
    for name, value in fields.items():
        if name not in known and name != "List":
            assert event["data"][name] == value


def test_an_event_says_whose_it_is_and_when_it_was() -> None:
    event = make(text_document("你好"))
    assert check(encode(event)) == {
        "specversion": "1.0",
        "id": event.id,
        "source": "/wechat/main",
        "type": "message.text",
        "subject": OPEN_ID,
        "time": "2024-05-17T22:28:56Z",
        "datacontenttype": "application/json",
        "account": "main",
        "appid": APP_ID,
        "traceid": TRACE,
        "data": {
            "to_user_name": "gh_590e78004b5c",
            "from_user_name": OPEN_ID,
            "create_time": NOW,
            "msg_type": "text",
            "msg_id": 24_000_000_000_000_101,
            "content": "你好",
        },
    }
    assert re.fullmatch("[0-9a-f]{32}", event.id)


def test_an_outbox_finds_in_an_event_what_publishers_must_know() -> None:
    event = make(text_document())
    body = encode(event)
    assert outgoing_of(body) == Outgoing(event.id, "message.text", OPEN_ID, body)
    nobodys = make({"MsgType": "", "InfoType": "component_verify_ticket"})
    assert outgoing_of(encode(nobodys)).key == ""


def test_an_event_can_be_read_back() -> None:
    event = make(text_document())
    assert msgspec.json.decode(encode(event), type=CloudEvent) == event


@pytest.mark.parametrize(
    ("fields", "type_"),
    [
        ({"Event": "subscribe"}, "user.subscribed"),
        ({"Event": "unsubscribe"}, "user.unsubscribed"),
        ({"Event": "SCAN", "EventKey": "1"}, "qr.scanned"),
        ({"Event": "CLICK", "EventKey": "k"}, "menu.clicked"),
        ({"Event": "VIEW", "EventKey": "u"}, "menu.viewed"),
        ({"Event": "LOCATION"}, "location.reported"),
        ({"Event": "TEMPLATESENDJOBFINISH"}, "template.sent"),
        ({"Event": "MASSSENDJOBFINISH"}, "mass.sent"),
        ({"Event": "never_heard_of"}, "event.unknown"),
        ({"MsgType": "hologram"}, "message.unknown"),
        ({"MsgType": "image"}, "message.image"),
        ({"MsgType": "", "InfoType": "never_heard_of"}, "component.unknown"),
    ],
    ids=str,
)
def test_a_type_says_what_happened(fields: dict[str, Any], type_: str) -> None:
    event = make({"MsgType": "event"} | fields)
    assert event.type == type_
    name = fields.get("Event") or fields.get("InfoType") or fields["MsgType"]
    assert name in event.data.values(), "the platform's own name stays"


def test_what_wechat_adds_is_in_the_data_by_its_own_name() -> None:
    data = make(text_document(New="x", Nested={"A": ["b"]})).data
    assert data["New"] == "x"
    assert data["Nested"] == {"A": ["b"]}


def test_a_name_of_wechat_s_never_replaces_a_field() -> None:
    assert make(text_document("said") | {"content": "other"}).data["content"] == "said"


def test_a_number_that_could_not_be_read_is_in_the_data_as_it_came() -> None:
    data = make(text_document(MsgId="6f5a-b")).data
    assert (data["msg_id"], data["MsgId"]) == (0, "6f5a-b")
    assert "MsgId" not in make(text_document(MsgId=" 0 ")).data


def test_what_was_not_sent_is_not_in_the_data() -> None:
    data = make({"MsgType": "event", "Event": "subscribe", "EventKey": ""}).data
    assert data["event_key"] == ""
    assert "ticket" not in data


def test_parts_have_their_fields_names_too() -> None:
    fields = {
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
        "List": [{"TemplateId": "t", "SubscribeStatusString": "accept", "PopupScene": "2"}],
    }
    data = make(fields).data
    assert data["items"] == [
        {"template_id": "t", "subscribe_status_string": "accept", "popup_scene": 2}
    ]
    assert "List" not in data


def test_a_platform_s_notice_about_a_user_is_about_the_user() -> None:
    fields = {
        "MsgType": "event",
        "Event": "user_authorization_revoke",
        "FromUserName": "the platform",
        "OpenID": "o1",
        "UnionID": "u1",
    }
    event = make(fields)
    assert (event.subject, event.unionid) == ("o1", "u1")
    assert make(fields | {"OpenID": ""}).subject is None


@pytest.mark.parametrize("seconds", [0, -1, 10**12, 2**63, "soon", None])
def test_a_time_that_is_none_is_left_out(seconds: Any) -> None:
    assert make(text_document(CreateTime=seconds)).time is None


def test_an_attribute_never_holds_what_cloudevents_forbids() -> None:
    event = make(text_document(FromUserName="o\x00\x9f\ud800\ufffe\U0001ffff."))
    assert event.subject == "o" + "\ufffd" * 5 + "."


def test_half_a_character_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode(make(text_document("\ud800")))


def test_what_is_nested_too_deeply_cannot_be_written() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        encode(make(text_document(New=deep)))


@given(
    st.dictionaries(
        st.sampled_from(["MsgType", "Event", "InfoType", "CreateTime", "FromUserName", "UnionID"])
        | st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_anything_that_is_decoded_becomes_a_valid_event(fields: dict[str, Any]) -> None:
    check(encode(make(fields)))


@pytest.mark.parametrize(
    ("pattern", "type_", "expected"),
    [
        ("*", "message.text", True),
        ("message.text", "message.text", True),
        ("message.text", "message.text_more", False),
        ("message.*", "message.text", True),
        ("message.*", "messages.text", False),
        ("user.*", "message.text", False),
        ("user", "user.subscribed", False),
    ],
)
def test_a_filter_is_a_type_a_family_or_everything(
    pattern: str, type_: str, expected: bool
) -> None:
    assert matches(pattern, type_) is expected
    assert matches_any(["qr.scanned", pattern], type_) is expected


def test_no_filter_matches_nothing() -> None:
    assert not matches_any([], "message.text")


def test_times_are_those_of_utc() -> None:
    event = make(text_document())
    assert event.time is not None
    assert datetime.fromisoformat(event.time) == datetime.fromtimestamp(NOW, UTC)
