"""Events published to NATS JetStream, each acknowledged by its stream.

The event's id is its Nats-Msg-Id: the stream leaves out what it took within its duplicate window.
Written on nats-py itself: a messaging framework would bring consumers that nobody needs here.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    TIMED_OUT,
    Destination,
    Later,
    Limits,
    Outgoing,
    Published,
    close_soon,
    explain,
    load_extra,
    oversized,
    publish_fitting,
    send_each,
    unreachable,
)
from gateway.protocol.cloudevents import CONTENT_TYPE

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

_TOO_LARGE_FOR_STREAM: Final = 10054
"""JetStream's error code for a message above the stream's max_msg_size."""


class NatsJetStream:
    """The Publisher to a stream that is there; an event's subject is PREFIX.TYPE."""

    batch = 200

    def __init__(self, name: str, url: str, stream: str, prefix: str, limits: Limits) -> None:
        """Publish to the stream of this name, under the subjects ``prefix.>``."""
        self._name = name
        self._servers = [each.strip() for each in url.split(",")]
        self._stream = stream
        self._prefix = prefix
        self._limits = limits
        self._destination = Destination(name, "nats", stream)
        self._client: Any = load_extra("nats", "nats", name)
        self._errors: Any = load_extra("nats.js.errors", "nats", name)
        self._connection: Client | None = None
        self._silent = False
        self._cause: Exception | None = None

    async def start(self) -> None:
        """Connect, and look whether the stream is there and takes the subjects."""
        subjects = f"{self._prefix}.>"
        try:
            async with asyncio.timeout(self._limits.seconds):
                stream = await (await self._connected()).find_stream_name_by_subject(subjects)
        except self._errors.NotFoundError:
            stream = None
        except (self._client.errors.Error, OSError) as wrong:
            cause = self._cause or wrong
            raise unreachable(self._name, "NATS JetStream", cause) from None
        if stream != self._stream:
            raise SettingsError(
                f"sinks.{self._name}: no stream {self._stream} takes {subjects}; create it: "
                f"nats stream add {self._stream} --subjects '{subjects}'"
            )

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Publish the events, and wait for the stream's acknowledgement of each."""
        return await publish_fitting(events, self._limits, self._send, self._destination)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_soon(connection.close())

    async def _send(self, events: Sequence[Outgoing], deadline: float) -> list[Published]:
        async with asyncio.timeout_at(deadline):
            jetstream = await self._connected()
        published = await send_each(events, deadline, partial(self._send_one, jetstream))
        # Who falls silent may be gone without a word: the next batch gets a new connection.
        self._silent = TIMED_OUT in published
        return published

    async def _send_one(self, jetstream: "JetStreamContext", event: Outgoing) -> Published:
        try:
            await jetstream.publish(
                f"{self._prefix}.{event.type}",
                event.body,
                timeout=self._limits.seconds,
                stream=self._stream,
                headers=_headers(event),
            )
        except self._client.errors.MaxPayloadError:
            return oversized(event)
        except self._errors.APIError as wrong:
            if wrong.err_code == _TOO_LARGE_FOR_STREAM:
                return oversized(event)
            return Later(f"refused: {explain(wrong)}")
        return ACCEPTED

    async def _connected(self) -> "JetStreamContext":
        """Return JetStream on a connection that works; make a new one if there is none."""
        if self._connection is None or not self._connection.is_connected or self._silent:
            await self.close()
            self._connection = await self._client.connect(
                self._servers,
                allow_reconnect=False,
                # Each server is tried twice at once, no more: the outbox waits, not the client.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=self._limits.seconds,
                error_cb=self._note,
            )
        return self._connection.jetstream(timeout=self._limits.seconds)

    async def _note(self, wrong: Exception) -> None:
        self._cause = wrong


def _headers(event: Outgoing) -> dict[str, str]:
    headers = {"Nats-Msg-Id": event.id, "Content-Type": CONTENT_TYPE}
    return {**headers, "traceparent": event.traceparent} if event.traceparent else headers
