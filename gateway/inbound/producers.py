"""Other producers' events: what a service inside the company sends joins the events of callbacks.

Each is stored once, whatever its producer repeats, for everyone who wants it.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from gateway.errors import GatewayError
from gateway.inbound.claims import Claim
from gateway.inbound.commit import GroupCommit
from gateway.inbound.outbox import Outbox
from gateway.protocol.cloudevents import MAX_TYPE, CloudEvent, is_produced, rfc3339

UNKNOWN: Final = "unknown/plain"
"""The type of what says nothing of its type."""


class WrongEvent(GatewayError):
    """A producer's event cannot be taken; the message names the part and its fix."""


class Sent(NamedTuple):
    """What a producer sent, verified."""

    producer: str
    id: str
    """The producer's own: the same each time it sends the event."""
    at: int
    """When it was signed, in Unix seconds."""
    message_type: str
    """X-Message-Type; empty where there is none."""
    content_type: str
    """Content-Type; empty where there is none."""
    body: bytes
    """UTF-8."""
    trace_id: str | None
    traceparent: str = ""
    """The span that took it, as others are told of it; empty where it is not sampled."""


class Acknowledged(NamedTuple):
    """What became of a producer's event."""

    id: str
    """What it is called from here on: a CloudEvent's id."""
    type: str
    subscribers: int
    """How many handlers and sinks get it."""


class Intake:
    """Takes the events of other producers."""

    def __init__(
        self,
        outbox: Outbox,
        commit: GroupCommit,
        owner: bytes,
        types: Mapping[str, str],
        *,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """``types`` tells the type by the content type, where no X-Message-Type does."""
        self._outbox = outbox
        self._commit = commit
        self._owner = owner
        self._types = types
        self._on_stored = on_stored

    async def take(self, sent: Sent) -> Acknowledged:
        """Store an event for everyone who wants it, unless that was done before.

        Raises WrongEvent, and StoreDown where nothing durable takes it.
        """
        event = produced_event(sent, self._types)
        entries = self._outbox.produced(event)
        if not entries:
            return Acknowledged(event.id, event.type, 0)
        taken = Acknowledged(event.id, event.type, len(entries))
        claim = Claim(bytes.fromhex(event.id), self._owner, entries, msgspec.json.encode(taken))
        outcome = await self._commit.submit(claim)
        self._on_stored()
        return msgspec.json.decode(outcome.reply, type=Acknowledged) if outcome.reply else taken


def produced_event(sent: Sent, types: Mapping[str, str]) -> CloudEvent:
    """Return what was sent as an event; raise WrongEvent where it is none."""
    media_type = sent.content_type.partition(";")[0].strip().lower()
    type_ = sent.message_type or types.get(media_type, UNKNOWN)
    if not is_produced(type_):
        raise WrongEvent(
            f"X-Message-Type: write FAMILY/NAME, such as command/transfer, in up to {MAX_TYPE} "
            "letters, digits, and - or _; names without a slash are those of WeChat's own events"
        )
    is_json = media_type == "application/json" or media_type.endswith("+json")
    # What one producer calls its events is nothing to another's.
    source = f"/events/{sent.producer}"
    key = blake2b(f"{source}\x1f{sent.id}".encode(), digest_size=16)
    return CloudEvent(
        specversion="1.0",
        id=key.hexdigest(),
        source=source,
        type=type_,
        datacontenttype=media_type if is_json else "text/plain",
        time=rfc3339(sent.at),
        traceid=sent.trace_id,
        traceparent=sent.traceparent or None,
        data=_json(sent.body) if is_json else sent.body.decode(),
    )


def _json(body: bytes) -> msgspec.Raw:
    """Return a JSON document as it came; raise WrongEvent where it is none."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise WrongEvent(
            f"body: not the JSON that Content-Type says ({wrong}); correct one of them"
        ) from None
    return msgspec.Raw(body)
