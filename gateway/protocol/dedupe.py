"""Which deliveries are the same message: the key that WeChat's retries share (PROTOCOL 3)."""

from typing import Any, Final

from gateway.kernels import digest_of
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
    noticed: Any = ""
    if wrapper is not None:
        noticed = get(wrapper) or get("List", "")
    # A digest, for senders decide how long the parts are.
    return digest_of(
        (
            app_id,
            message.from_user_name,
            str(message.create_time),
            get("MsgId", ""),
            get("Event") or get("InfoType", ""),
            get("EventKey") or get("AuthorizerAppid", ""),
            get("MsgID", ""),
            noticed,
        )
    )
