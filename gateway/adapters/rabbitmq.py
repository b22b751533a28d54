"""Events published to a RabbitMQ exchange: persistent, mandatory, and confirmed by the broker.

Written on aio-pika itself: a messaging framework would bring consumers that nobody needs here.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

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
    load_extra,
    publish_fitting,
    send_each,
    unreachable,
)
from gateway.protocol.cloudevents import CONTENT_TYPE

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange


class RabbitMQ:
    """The Publisher to an exchange that is there."""

    batch = 200

    def __init__(
        self, name: str, url: str, exchange: str, limits: Limits, *, routing_key: str | None = None
    ) -> None:
        """Publish with this routing key, by default with the event's type."""
        self._name = name
        self._url = url
        self._exchange_name = exchange
        self._routing_key = routing_key
        self._limits = limits
        self._destination = Destination(name, "rabbitmq", exchange)
        self._client: Any = load_extra("aio_pika", "rabbitmq", name)
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._silent = False

    async def start(self) -> None:
        """Connect, and look whether the exchange is there."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._connected()
        except self._client.exceptions.ChannelNotFoundEntity:
            raise SettingsError(
                f"sinks.{self._name}: RabbitMQ has no exchange {self._exchange_name}; declare it "
                "(a durable topic exchange), or correct exchange"
            ) from None
        except (self._client.exceptions.AMQPError, OSError) as wrong:
            raise unreachable(self._name, "RabbitMQ", wrong) from None

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Publish the events, and wait until the broker has confirmed each."""
        return await publish_fitting(events, self._limits, self._send, self._destination)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            await close_soon(connection.close())

    async def _send(self, events: Sequence[Outgoing], deadline: float) -> list[Published]:
        async with asyncio.timeout_at(deadline):
            exchange = await self._connected()
        published = await send_each(events, deadline, partial(self._send_one, exchange))
        # Who falls silent may be gone without a word: the next batch gets a new connection.
        self._silent = TIMED_OUT in published
        return published

    async def _send_one(self, exchange: "AbstractExchange", event: Outgoing) -> Published:
        message = self._client.Message(
            event.body,
            message_id=event.id,
            type=event.type,
            content_type=CONTENT_TYPE,
            headers={"traceparent": event.traceparent} if event.traceparent else None,
            delivery_mode=self._client.DeliveryMode.PERSISTENT,
        )
        try:
            await exchange.publish(message, self._routing_key or event.type, mandatory=True)
        except self._client.exceptions.PublishError:
            # Its consumer may yet come and bind a queue.
            return Later(f"unroutable: no queue is bound to {self._exchange_name} for it")
        except self._client.exceptions.DeliveryError:
            return Later("refused: the broker did not take it")
        return ACCEPTED

    async def _connected(self) -> "AbstractExchange":
        """Return the exchange on a connection that works; make a new one if there is none."""
        if (
            self._exchange is None
            or self._channel is None
            or self._channel.is_closed
            or self._silent
        ):
            await self.close()
            self._connection = await self._client.connect(self._url)
            self._channel = await self._connection.channel(on_return_raises=True)
            self._exchange = await self._channel.get_exchange(self._exchange_name)
        return self._exchange
