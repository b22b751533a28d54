"""Which deliveries are the same message: the key that WeChat's retries share (PROTOCOL 3)."""

from hashlib import blake2b
from typing import Any, Final

from gateway.protocol.events import SubscribeMsgChange, SubscribeMsgPopup, SubscribeMsgSent
from gateway.protocol.messages import Message

_NOTICES: Final = {
    SubscribeMsgPopup: "SubscribeMsgPopupEvent",
    SubscribeMsgChange: "SubscribeMsgChangeEvent",
    SubscribeMsgSent: "SubscribeMsgSentEvent",
}


def dedupe_key(app_id: str, message: Message) -> bytes:
    """Return the key of a message, 16 bytes: the same for each of its deliveries, no other's.

    MsgId alone repeats between users, and sender with second between events of one user (PROTOCOL
    3 names the incidents), so all that tells two messages apart goes in. Built from the original
    strings: a mini-program's MsgId need not be a number.
    """
    raw = message.raw
    parts = "\x1f".join(
        (
            app_id,
            message.from_user_name,
            str(message.create_time),
            _text(raw.get("MsgId")),
            _text(raw.get("Event") or raw.get("InfoType")),
            _text(raw.get("EventKey") or raw.get("AuthorizerAppid")),
            _text(raw.get("MsgID")),
            # Subscription notices carry theirs inside a list, a template and a MsgID to an entry.
            _text(raw.get(_wrapper(message))),
        )
    )
    # A digest, for senders decide how long the parts are. JSON can hold lone surrogates.
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _wrapper(message: Message) -> str:
    for kind, name in _NOTICES.items():
        if isinstance(message, kind):
            return name if name in message.raw else "List"
    return ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)
