"""Each kind of sink seen from both ends: a publisher to a place in it, and who reads there."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import aio_pika
import nats
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from redis.asyncio import Redis

from gateway.adapters.http_forward import HttpForward
from gateway.adapters.kafka import Kafka
from gateway.adapters.nats import NatsJetStream
from gateway.adapters.rabbitmq import RabbitMQ
from gateway.adapters.redis_sinks import RedisPubSub, RedisStream
from gateway.inbound.publishing import Limits, Outgoing, Publisher
from tests.brokers import (
    KafkaCluster,
    Upstream,
    http_upstream,
    kafka_broker,
    nats_broker,
    rabbitmq_broker,
    redis_broker,
)

SECRET: Final = "whsec_" + base64.b64encode(b"twenty-four bytes and more").decode()
_PATIENCE: Final = 20.0
"""Seconds after which a reader gives up."""
_names = (f"place{n}" for n in count())


class Got(NamedTuple):
    """An event as it arrived: under which id, where the broker knows one, and its bytes."""

    id: str | None
    body: bytes
    traceparent: str | None = None


class Place:
    """Where a test's events go: an endpoint, channel, stream, exchange or topic of its own."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.name = next(_names)
        self.got: list[Got] = []

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        """Return a new publisher to the place, or to one of this name at another URL."""
        raise NotImplementedError

    async def open(self) -> None:
        """Make the place; again after the broker was cut off, if it is not there any more."""

    async def collect(self) -> None:
        """Bring ``got`` up to date: what arrived since the place was opened, in its order."""

    async def close(self) -> None:
        """Let go of connections."""

    async def cut_off(self) -> None:
        """End the broker."""
        await asyncio.to_thread(self.broker.kill)

    async def come_back(self) -> None:
        """Start the broker again."""
        await asyncio.to_thread(self.broker.start)

    async def hang(self) -> None:
        """Let the broker hang."""
        self.broker.pause()

    async def go_on(self) -> None:
        """Let the broker go on."""
        self.broker.resume()

    async def read(self, count: int) -> list[Got]:
        """Return all that arrived, once it is so many."""
        await self._collect_until(lambda: len(self.got) >= count)
        return self.got

    async def arrived(self, events: Sequence[Outgoing]) -> None:
        """Return once all these have arrived, others or repeated ones among them or not."""
        wanted = {event.body for event in events}
        await self._collect_until(lambda: wanted <= {each.body for each in self.got})

    async def _collect_until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self.collect()
            while not enough():
                await asyncio.sleep(0.02)
                await self.collect()


class HttpPlace(Place):
    """An HTTP endpoint."""

    broker: Upstream

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return HttpForward("forward", url or self.broker.url, [SECRET], limits, now=time.time)

    async def cut_off(self) -> None:
        await self.broker.cut_off()

    async def come_back(self) -> None:
        await self.broker.come_back()

    async def hang(self) -> None:
        await self.broker.hang()

    async def go_on(self) -> None:
        await self.broker.go_on()

    async def collect(self) -> None:
        self.got = [
            Got(headers["webhook-id"], body, headers.get("traceparent"))
            for headers, body in self.broker.received
        ]


class PubSubPlace(Place):
    """A Redis Pub/Sub channel with one that listens; it knows no ids."""

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return RedisPubSub("pubsub", url or self.broker.url, self.name, limits)

    async def open(self) -> None:
        self._redis: Any = Redis.from_url(self.broker.url)
        self._listener: Any = self._redis.pubsub()
        await self._listener.subscribe(self.name)
        assert (await self._listener.get_message(timeout=_PATIENCE))["type"] == "subscribe"

    async def collect(self) -> None:
        while heard := await self._listener.get_message(timeout=0.01):
            self.got.append(Got(None, heard["data"]))

    async def close(self) -> None:
        await self._listener.aclose()
        await self._redis.aclose()


class StreamPlace(Place):
    """A Redis stream."""

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return RedisStream("stream", url or self.broker.url, self.name, limits)

    async def open(self) -> None:
        self.redis: Any = Redis.from_url(self.broker.url)

    async def collect(self) -> None:
        entries = await self.redis.xrange(self.name)
        self.got = [
            Got(fields[b"id"].decode(), fields[b"event"], _text(fields.get(b"traceparent")))
            for _, fields in entries
        ]

    async def close(self) -> None:
        await self.redis.aclose()


class RabbitPlace(Place):
    """A RabbitMQ exchange with one queue that is bound to all types."""

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return RabbitMQ("rabbit", url or self.broker.url, self.name, limits)

    async def open(self) -> None:
        self._connection = await aio_pika.connect(self.broker.url)
        channel = await self._connection.channel()
        exchange = await channel.declare_exchange(self.name, "topic", durable=True)
        self._queue = await channel.declare_queue(self.name, durable=True)
        await self._queue.bind(exchange, "message.*")

    async def collect(self) -> None:
        while message := await self._queue.get(no_ack=True, fail=False):
            assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            traceparent = message.headers.get("traceparent")
            assert traceparent is None or isinstance(traceparent, str)
            self.got.append(Got(message.message_id, message.body, traceparent))

    async def close(self) -> None:
        await self._connection.close()


class NatsPlace(Place):
    """A JetStream stream that takes all subjects of its prefix."""

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return NatsJetStream("nats", url or self.broker.url, self.name, self.name, limits)

    async def open(self) -> None:
        self._connection = await nats.connect(self.broker.url, allow_reconnect=False)
        self.jetstream = self._connection.jetstream()
        await self.jetstream.add_stream(name=self.name, subjects=[f"{self.name}.>"])

    async def limit_messages(self, size: int) -> None:
        """Let the stream refuse what is larger than so many bytes."""
        configuration = (await self.jetstream.stream_info(self.name)).config
        configuration.max_msg_size = size
        await self.jetstream.update_stream(configuration)

    async def collect(self) -> None:
        state = (await self.jetstream.stream_info(self.name)).state
        for number in range(len(self.got) + 1, state.last_seq + 1):
            message = await self.jetstream.get_msg(self.name, number)
            assert message.headers is not None
            assert message.data is not None
            traceparent = message.headers.get("traceparent")
            self.got.append(Got(message.headers["Nats-Msg-Id"], message.data, traceparent))

    async def close(self) -> None:
        await self._connection.close()


class KafkaPlace(Place):
    """A Kafka topic of one partition, so that it has one order."""

    broker: KafkaCluster

    def publisher(self, limits: Limits, url: str | None = None) -> Publisher:
        return Kafka("kafka", url or self.broker.url, self.name, limits, options={})

    async def open(self) -> None:
        self.broker.create_topic(self.name)
        self._consumer = Consumer(
            {"bootstrap.servers": self.broker.url, "group.id": self.name, "log_level": 0}
        )
        self._consumer.assign([TopicPartition(self.name, 0, OFFSET_BEGINNING)])
        self.got = []
        self.keys: list[Any] = []
        self.headers: list[Any] = []

    async def collect(self) -> None:
        for message in await asyncio.to_thread(self._consumer.consume, 1000, 0.1):
            if message.error() is None:
                headers: Any = message.headers()
                traceparent = _text(dict(headers).get("traceparent"))
                self.got.append(Got(None, message.value() or b"", traceparent))
                self.keys.append(message.key())
                self.headers.append(headers)

    async def close(self) -> None:
        await asyncio.to_thread(self._consumer.close)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


@dataclass(frozen=True)
class Kind:
    """A kind of sink: its places, and how its broker is run."""

    place: Callable[[Any], Place]
    run: Callable[[Path], AbstractContextManager[Any]] | None = None
    """None where the broker lives in the test's own loop."""
    scheme: str = ""
    ordered: bool = True


KINDS: Final = {
    "http": Kind(HttpPlace, scheme="http://", ordered=False),
    "redis_pubsub": Kind(PubSubPlace, redis_broker, "redis://"),
    "redis_stream": Kind(StreamPlace, redis_broker, "redis://"),
    "rabbitmq": Kind(RabbitPlace, rabbitmq_broker, "amqp://guest:guest@"),
    "nats": Kind(NatsPlace, nats_broker, "nats://"),
    "kafka": Kind(KafkaPlace, kafka_broker),
}


@dataclass(frozen=True)
class Running:
    """A kind of sink whose broker runs."""

    name: str
    kind: Kind
    broker: Any

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Place]:
        """Make a place for a test."""
        if self.broker is None:
            async with http_upstream() as upstream:
                yield self.kind.place(upstream)
            return
        place = self.kind.place(self.broker)
        await place.open()
        try:
            yield place
        finally:
            await place.close()


@contextmanager
def running(name: str, folder: Path) -> Iterator[Running]:
    """Run the broker of this kind of sink."""
    kind = KINDS[name]
    if kind.run is None:
        yield Running(name, kind, None)
        return
    with kind.run(folder) as broker:
        yield Running(name, kind, broker)
