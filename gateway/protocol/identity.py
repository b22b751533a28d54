"""Which deliveries are the same message: the key that WeChat's retries share (PROTOCOL 3)."""

from typing import Any

from gateway.protocol.messages import Message


def dedupe_key(app_id: str, message: Message) -> str:
    """Return the key of a message: the same for each of its deliveries, no other message's.

    MsgId alone repeats between users, and sender with second between events of one user (PROTOCOL
    3 names the incidents), so all that tells two messages apart goes in. Built from the original
    strings: a mini-program's MsgId need not be a number.
    """
    raw = message.raw
    return "\x1f".join(
        (
            app_id,
            message.from_user_name,
            str(message.create_time),
            _text(raw.get("MsgId")),
            _text(raw.get("Event") or raw.get("InfoType")),
            _text(raw.get("EventKey") or raw.get("AuthorizerAppid")),
            _text(raw.get("MsgID")),
        )
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)
