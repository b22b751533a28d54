"""Messages and replies as entries hold them: what is to be done later, in which lane."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.inbound.claims import Entry
from gateway.inbound.context import Context
from gateway.protocol.customer_service import customer_service_message
from gateway.protocol.decode import decode
from gateway.protocol.messages import Message
from gateway.protocol.replies import Reply
from gateway.telemetry.logs import get_logger

BACKGROUND: Final = "background"
"""The lane of messages whose handlers run after WeChat was answered."""

CUSTOMER_SERVICE: Final = "customer_service"
"""The lane of replies that go to their users as customer-service messages."""


ORIGIN: Final = "gateway_origin"
"""What is stored beside WeChat's own fields, where it is of a message's trace: that trace."""

_log = get_logger("gateway.inbound")


class StoredMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message as an entry of the background lane."""

    key: bytes
    """Its dedupe key."""
    fields: dict[str, Any]
    raw_query: bytes
    origin: str
    """Its trace, as tracing's ``written`` writes it."""
    late: bool = False
    """Whether an inline handler had it, and may have it still: its claim decides who goes on."""
    with_reply: bool = True
    """Whether what the handler returns goes to the user."""

    @property
    def message(self) -> Message:
        """The message itself."""
        return decode(self.fields)


def store_message(
    key: bytes,
    message: Message,
    context: Context,
    *,
    late: bool = False,
    with_reply: bool = True,
    delay: float = 0.0,
) -> Entry:
    """Return the entry that holds a message."""
    stored = StoredMessage(key, message.raw, context.raw_query, context.origin, late, with_reply)
    try:
        body = msgspec.msgpack.encode(stored)
    except OverflowError:
        # MessagePack ends at 64 bits; a message's numbers are read from text as well.
        body = msgspec.msgpack.encode(replace(stored, fields=_small(message.raw)))
    return Entry(BACKGROUND, context.account.name, type(message).__name__, body, delay)


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _small(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_small(inner) for inner in value]
    return str(value) if isinstance(value, int) and value.bit_length() > 63 else value


def store_fields(message: Message, origin: str = "") -> bytes:
    """Return a message's fields, for an entry that needs nothing else of it but its ``origin``."""
    fields = {**message.raw, ORIGIN: origin} if origin else message.raw
    try:
        return msgspec.msgpack.encode(fields)
    except OverflowError:
        return msgspec.msgpack.encode(_small(fields))


_decoder = msgspec.msgpack.Decoder(StoredMessage)
_fields_decoder = msgspec.msgpack.Decoder(dict[str, Any])


def stored_fields(body: bytes) -> dict[str, Any]:
    """Return the fields that ``store_fields`` stored; raise ValueError where there are none."""
    return _fields_decoder.decode(body)


def stored_message(entry: Entry) -> StoredMessage:
    """Return the message in an entry; raise msgspec.DecodeError where there is none."""
    return _decoder.decode(entry.body)


def store_reply(
    context: Context, message: Message, reply: Reply | None, origin: str = ""
) -> tuple[Entry, ...]:
    """Return the entry that sends a reply as a customer-service message; none for no reply.

    ``origin`` is what it came from, where that is not the context's.
    """
    if reply is None:
        return ()
    job = customer_service_message(reply, message.from_user_name)
    if job is None:
        _log.warning(
            "a late reply was dropped: only a passive reply can do that", type=type(reply).__name__
        )
        return ()
    body = msgspec.json.encode({**job, ORIGIN: origin or context.origin})
    return (Entry(CUSTOMER_SERVICE, context.account.name, reply.msg_type, body),)
