"""Which deliveries are the same message."""

from typing import Any

import pytest

from gateway.protocol.decode import decode
from gateway.protocol.dedupe import dedupe_key
from tests.support import text_document

EVENT = {"MsgType": "event", "Event": "CLICK", "EventKey": "K", "CreateTime": "1"}
NOTICE = {
    "MsgType": "event",
    "Event": "subscribe_msg_sent_event",
    "SubscribeMsgSentEvent": {"List": {"TemplateId": "t", "MsgID": "1"}},
}


def _key(fields: dict[str, Any], app_id: str = "wx1") -> bytes:
    return dedupe_key(app_id, decode(dict(fields)))


def test_two_deliveries_of_one_message_share_their_key() -> None:
    assert _key(text_document()) == _key(text_document())


@pytest.mark.parametrize(
    "change",
    [{"MsgId": 2}, {"FromUserName": "other"}, {"CreateTime": 5}, {"MsgId": "49d7_1"}],
    ids=str,
)
def test_another_message_has_another_key(change: dict[str, Any]) -> None:
    """MsgId was seen to repeat between users (WxJava issue 333)."""
    assert _key(text_document()) != _key(text_document(**change))


def test_another_account_has_another_key() -> None:
    assert _key(text_document()) != _key(text_document(), app_id="wx2")


@pytest.mark.parametrize(
    "change",
    [{"Event": "VIEW"}, {"EventKey": "L"}, {"CreateTime": "2"}, {"MsgID": "7"}],
    ids=str,
)
def test_two_events_in_one_second_have_two_keys(change: dict[str, Any]) -> None:
    """Sender and second alone collide (weixin-java-tools issue 66)."""
    assert _key(EVENT) != _key(EVENT | change)


def test_notices_on_two_templates_have_two_keys() -> None:
    other = {"SubscribeMsgSentEvent": {"List": {"TemplateId": "t", "MsgID": "2"}}}
    assert _key(NOTICE) == _key(dict(NOTICE))
    assert _key(NOTICE) != _key(NOTICE | other)


def test_a_key_is_16_bytes_however_long_the_parts_are() -> None:
    assert len(_key(EVENT | {"EventKey": "好" * 60_000})) == 16
    assert len(_key(EVENT | {"EventKey": "\ud800"})) == 16
