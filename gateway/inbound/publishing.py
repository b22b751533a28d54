"""What the outbox asks of a sink that is somewhere else: the Publisher port.

A publisher says of each event what became of it. Storing events, trying them again and burying them
is the outbox's; so a publisher never retries, and never keeps an event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol

from msgspec import Struct
from msgspec.json import decode
from opentelemetry.trace import Span, Status, StatusCode

from gateway.errors import GatewayError, SettingsError
from gateway.telemetry.tracing import (
    PRODUCER,
    origin_of_caller,
    start,
    traceparent_of,
    written,
)


class Outgoing(NamedTuple):
    """An event on its way out."""

    id: str
    """The same each time the event is tried, so that a receiver can leave out what it has."""
    type: str
    key: str
    """Whose event it is, the openid: events of one key belong in order. Empty for nobody's."""
    body: bytes
    """The encoded event, which arrives as it is."""
    traceparent: str = ""
    """The span that it is sent in, which goes along with it; empty where it is not sampled."""


class _Head(Struct):
    """What an outbox needs to know of an encoded event."""

    id: str
    type: str
    subject: str = ""
    traceparent: str = ""


def outgoing_of(body: bytes) -> Outgoing:
    """Return an encoded event (CloudEvents JSON) with what publishers must know of it."""
    head = decode(body, type=_Head)
    return Outgoing(head.id, head.type, head.subject, body, head.traceparent)


class Accepted(NamedTuple):
    """The receiver has it."""


class Later(NamedTuple):
    """Not now: try again."""

    reason: str
    """A code, a colon, and what a person wants to know; never what a user wrote."""
    retry_after: float = 0.0
    """Seconds that the receiver asked to be left alone: wait no less."""


class Never(NamedTuple):
    """Trying again would end the same: a dead letter."""

    reason: str
    """As Later's."""


Published = Accepted | Later | Never

ACCEPTED: Final = Accepted()
TIMED_OUT: Final = Later("timeout: no answer in time")

_CLOSING_SECONDS: Final = 1.0


class Publisher(Protocol):
    """Brings events to a sink, in batches; one at a time, please."""

    batch: int
    """How many events it takes at a time and still keeps its timeout."""

    async def start(self) -> None:
        """Connect, and look whether all is there; raise SettingsError naming the sink and the fix.

        The publisher may be used all the same: it connects when it is able to.
        """

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Return what became of each event, within the sink's timeout; raises nothing."""

    async def close(self) -> None:
        """Let go of connections and threads; may be called twice."""


class Asker(Protocol):
    """A sink that answers in place of a handler."""

    async def ask(self, event: Outgoing, seconds: float) -> dict[str, Any] | None:
        """Return the reply, a JSON object, or None for no reply; raise NoAnswer in that time."""

    async def close(self) -> None:
        """Let go of connections; may be called twice."""


class NoAnswer(GatewayError):
    """A sink that was asked gave no answer; the message says why, never what it sent."""


class Destination(NamedTuple):
    """Where a broker's sink sends events, as its spans tell it."""

    sink: str
    system: str
    """As OpenTelemetry calls the broker: kafka, nats, ..."""
    name: str
    """The topic's, or of whatever stands for it."""


class Limits(NamedTuple):
    """What every publisher keeps."""

    seconds: float
    """How long a batch may take."""
    max_bytes: int
    """The size of the largest body."""


async def publish_fitting(
    events: Sequence[Outgoing],
    limits: Limits,
    send: Callable[[Sequence[Outgoing], float], Awaitable[list[Published]]],
    destination: Destination | None = None,
) -> list[Published]:
    """Send the events that are not too large; where that fails as a whole, all are for later.

    ``send`` gets them with the deadline, by the loop's clock, which it keeps. Each that is sampled
    has a span, unless ``destination`` is None: then that is left to ``send``.
    """
    fitting = [event for event in events if len(event.body) <= limits.max_bytes]
    deadline = asyncio.get_running_loop().time() + limits.seconds
    spans: list[Span | None] = []
    if destination is not None and any(event.traceparent for event in fitting):
        spans = [_begin(event, destination) for event in fitting]
        fitting = [*map(_within, fitting, spans)]
    try:
        sent = await send(fitting, deadline) if fitting else []
    except Exception as wrong:  # whatever a client library raises
        sent = [failed(wrong)] * len(fitting)
    for span, result in zip(spans, sent, strict=False):
        _end(span, result)
    results = iter(sent)
    return [
        next(results) if len(event.body) <= limits.max_bytes else oversized(event)
        for event in events
    ]


def _begin(event: Outgoing, destination: Destination) -> Span | None:
    # https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
    attributes = {
        "messaging.system": destination.system,
        "messaging.destination.name": destination.name,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": event.id,
        **about(destination.sink, event),
    }
    origin = origin_of_caller(event.traceparent)
    if origin is None:
        return None
    return start(f"send {destination.name}", PRODUCER, attributes, origin=origin)


def about(sink: str, event: Outgoing) -> dict[str, str]:
    """Return what every span of an event that is sent tells."""
    return {"gateway.sink": sink, "gateway.event.type": event.type}


def _within(event: Outgoing, span: Span | None) -> Outgoing:
    """Return an event whose traceparent is the span that it is sent in."""
    if span is None:
        return event
    return event._replace(traceparent=traceparent_of(written(span)))


def _end(span: Span | None, published: Published) -> None:
    if span is None:
        return
    if not isinstance(published, Accepted):
        # The code alone: what the broker said may be long.
        code = published.reason.partition(":")[0]
        span.set_status(Status(StatusCode.ERROR, code))
        span.set_attribute("error.type", code)
    span.end()


async def send_each(
    events: Sequence[Outgoing],
    deadline: float,
    send: Callable[[Outgoing], Awaitable[Published]],
) -> list[Published]:
    """Send each event in a task of its own, so that none waits for another or fails with it."""

    async def in_time(event: Outgoing) -> Published:
        async with asyncio.timeout_at(deadline):
            return await send(event)

    sent = await asyncio.gather(*map(in_time, events), return_exceptions=True)
    # A client whose connection is cut may cancel what waits for it.
    return [failed(each) if isinstance(each, BaseException) else each for each in sent]


async def close_soon(closing: Awaitable[object]) -> None:
    """Close a connection, whose other side need not be there any more to take its leave."""
    with suppress(Exception):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await closing


def failed(wrong: BaseException) -> Later:
    """Return the outcome of an attempt that ended in an exception."""
    if isinstance(wrong, TimeoutError):
        return TIMED_OUT
    return Later(f"unreachable: {explain(wrong)}")


def oversized(event: Outgoing) -> Never:
    """Return the outcome of an event that is too large."""
    return Never(f"oversized: {len(event.body)} bytes")


def explain(wrong: BaseException) -> str:
    """Return an exception in a line, cut short."""
    said = " ".join(str(wrong).split())[:200]
    return f"{type(wrong).__name__}: {said}" if said else type(wrong).__name__


def unreachable(sink: str, what: str, wrong: BaseException, setting: str = "url") -> SettingsError:
    """Return what to raise where a sink's broker does not answer at start."""
    return SettingsError(
        f"sinks.{sink}: {what} cannot be reached ({explain(wrong)}); start it, or correct {setting}"
    )


def load_extra(module: str, extra: str, sink: str) -> Any:
    """Return an optional library's module; raise SettingsError where it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise SettingsError(
            f'sinks.{sink}: needs the extra "{extra}"; pip install "wechat-gateway[{extra}]"'
        ) from None
