"""Events produced to a Kafka topic: idempotent, keyed by user, acknowledged by all replicas.

Written on confluent-kafka itself: a messaging framework would bring consumers that nobody needs
here. Its calls wait, so they are made in a thread of the sink's own.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    Destination,
    Later,
    Limits,
    Outgoing,
    Published,
    load_extra,
    oversized,
    publish_fitting,
    unreachable,
)
from gateway.protocol.cloudevents import CONTENT_TYPE

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", CONTENT_TYPE.encode())]
_ROOM: Final = 4096
"""Bytes that a record may have beside the event."""

_log = logging.getLogger("gateway.kafka")
_T = TypeVar("_T")


class Kafka:
    """The Publisher to a topic that is there."""

    batch = 500

    def __init__(
        self, name: str, servers: str, topic: str, limits: Limits, *, options: Mapping[str, str]
    ) -> None:
        """Produce by the brokers at ``servers``; ``options`` are librdkafka's, and come last."""
        self._name = name
        self._topic = topic
        self._limits = limits
        self._destination = Destination(name, "kafka", topic)
        self._client: Any = load_extra("confluent_kafka", "kafka", name)
        self._configuration: dict[str, Any] = {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": int(limits.seconds * 1000),
            "message.max.bytes": limits.max_bytes + _ROOM,
            # As Kafka's own clients place keys.
            "partitioner": "murmur2_random",
            **options,
        }
        self._producer: Producer | None = None
        self._thread: ThreadPoolExecutor | None = ThreadPoolExecutor(1, f"sink.{name}")

    async def start(self) -> None:
        """Connect, and look whether the topic is there."""
        await self._run(self._check)

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Produce the events in their order, and wait for each one's delivery report."""
        return await publish_fitting(events, self._limits, self._send, self._destination)

    async def close(self) -> None:
        """Let go of the producer and its thread."""
        if self._thread is not None:
            await self._run(self._drop)
            self._thread.shutdown()
            self._thread = None

    async def _send(self, events: Sequence[Outgoing], _deadline: float) -> list[Published]:
        return await self._run(partial(self._deliver, events))

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    # What follows runs in the thread.

    def _check(self) -> None:
        try:
            topics = self._connected().list_topics(self._topic, self._limits.seconds).topics
        except self._client.KafkaException as wrong:
            raise unreachable(self._name, "Kafka", wrong, "servers or options") from None
        if (error := topics[self._topic].error) is not None:
            raise SettingsError(
                f"sinks.{self._name}: Kafka has no topic {self._topic} for it ({error.str()}); "
                "create the topic, or correct topic"
            )

    def _deliver(self, events: Sequence[Outgoing]) -> list[Published]:
        producer = self._connected()
        published: list[Published] = [Later("timeout: no delivery report in time")] * len(events)

        def report(index: int, error: "KafkaError | None", _message: object = None) -> None:
            published[index] = ACCEPTED if error is None else self._judge(events[index], error)

        for index, event in enumerate(events):
            try:
                producer.produce(
                    self._topic,
                    event.body,
                    event.key or None,
                    headers=_headers(event),
                    on_delivery=partial(report, index),
                )
            except self._client.KafkaException as wrong:
                report(index, wrong.args[0])
            except BufferError:
                published[index] = Later("busy: the producer's queue is full")
        left = producer.flush(self._limits.seconds)
        if left or any(isinstance(each, Later) for each in published):
            # What is left must not arrive behind a later try of it, and an idempotent producer that
            # has lost count takes nothing more: the next batch gets a new one.
            self._drop()
        return published

    def _judge(self, event: Outgoing, error: "KafkaError") -> Published:
        if error.code() == self._client.KafkaError.MSG_SIZE_TOO_LARGE:
            return oversized(event)
        return Later(f"{error.name().lower()}: {error.str()}")

    def _connected(self) -> "Producer":
        if self._producer is None:
            self._producer = self._client.Producer(self._configuration, logger=_log)
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0.1)


def _headers(event: Outgoing) -> list[tuple[str, str | bytes | None]]:
    if not event.traceparent:
        return _HEADERS
    return [*_HEADERS, ("traceparent", event.traceparent.encode())]
