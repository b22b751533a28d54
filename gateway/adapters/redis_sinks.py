"""Events published in Redis, over Pub/Sub or in a stream: each batch is one pipeline."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from gateway.adapters.redis_client import open_redis
from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    Destination,
    Later,
    Limits,
    Outgoing,
    Published,
    explain,
    publish_fitting,
    unreachable,
)


class _RedisSink:
    """What both publishers share: the connection, and how a pipeline's answers are read."""

    batch = 500

    def __init__(self, name: str, url: str, place: str, limits: Limits) -> None:
        """``place`` is the channel, or the stream."""
        self._name = name
        self._destination = Destination(name, "redis", place)
        self._limits = limits
        self._redis = open_redis(url, f"sinks.{name}.url", timeout=limits.seconds)

    async def start(self) -> None:
        """Look whether Redis answers, and whether what is there can be published to."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._check()
        except (RedisError, OSError, TimeoutError) as wrong:
            raise unreachable(self._name, "Redis", wrong) from None

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """Send the events in one pipeline, in their order."""
        return await publish_fitting(events, self._limits, self._send, self._destination)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _send(self, events: Sequence[Outgoing], deadline: float) -> list[Published]:
        async with (
            asyncio.timeout_at(deadline),
            self._redis.pipeline(transaction=False) as pipeline,
        ):
            for event in events:
                pipeline.execute_command(*self._command(event))
            answers = await pipeline.execute(raise_on_error=False)
        return [
            Later(f"refused: {explain(answer)}") if isinstance(answer, RedisError) else ACCEPTED
            for answer in answers
        ]

    async def _check(self) -> None:
        await self._redis.execute_command("PING")

    def _command(self, event: Outgoing) -> tuple[Any, ...]:
        raise NotImplementedError


class RedisPubSub(_RedisSink):
    """The Publisher to a Pub/Sub channel: those who listen at that moment get the event."""

    def __init__(self, name: str, url: str, channel: str, limits: Limits) -> None:
        """Publish in the channel of this name."""
        super().__init__(name, url, channel, limits)
        self._channel = channel

    def _command(self, event: Outgoing) -> tuple[Any, ...]:
        return "PUBLISH", self._channel, event.body


class RedisStream(_RedisSink):
    """The Publisher to a stream, whose entries have the fields ``id type key event``.

    And ``traceparent``, where an event is sampled.
    """

    def __init__(
        self, name: str, url: str, stream: str, limits: Limits, *, max_length: int | None = None
    ) -> None:
        """Append to the stream of this key; beyond about ``max_length`` entries the oldest go."""
        super().__init__(name, url, stream, limits)
        self._stream = stream
        self._trim = () if max_length is None else ("MAXLEN", "~", max_length)

    async def _check(self) -> None:
        kind = await self._redis.execute_command("TYPE", self._stream)
        if kind not in (b"none", b"stream"):
            raise SettingsError(
                f"sinks.{self._name}: the key {self._stream} in Redis is a {kind.decode()}; choose "
                "another stream"
            )

    def _command(self, event: Outgoing) -> tuple[Any, ...]:
        entry = ("id", event.id, "type", event.type, "key", event.key, "event", event.body)
        traced = ("traceparent", event.traceparent) if event.traceparent else ()
        return "XADD", self._stream, *self._trim, "*", *entry, *traced
