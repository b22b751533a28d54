"""Which deliveries are the same message: the key that WeChat's retries share (PROTOCOL 3)."""

from hashlib import blake2b
from typing import Any, Final

from gateway.protocol.events import SubscribeMsgChange, SubscribeMsgPopup, SubscribeMsgSent
from gateway.protocol.messages import Message

_NOTICES: Final[dict[type[Message], str]] = {
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
    get = message.raw.get
    # Subscription notices carry theirs inside a list, a template and a MsgID to an entry.
    wrapper = _NOTICES.get(type(message))
    if wrapper is not None and get(wrapper) is None:
        wrapper = "List"
    parts = (
        f"{app_id}\x1f{message.from_user_name}\x1f{message.create_time}"
        f"\x1f{_text(get('MsgId'))}\x1f{_text(get('Event') or get('InfoType'))}"
        f"\x1f{_text(get('EventKey') or get('AuthorizerAppid'))}\x1f{_text(get('MsgID'))}"
        f"\x1f{'' if wrapper is None else _text(get(wrapper))}"
    )
    # A digest, for senders decide how long the parts are. JSON can hold lone surrogates.
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _text(value: Any) -> Any:
    return "" if value is None else value
