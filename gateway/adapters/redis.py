"""Claims and lanes in Redis, for any number of machines: a batch of steps is one script call.

The consumers of a lane are a consumer group on a stream; an entry that waits for its time is in a
sorted set beside it. Redis 6.2 or newer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, cast

import msgpack
from redis.exceptions import RedisError, ResponseError

from gateway.adapters.redis_client import PREFIX, Script, down, open_redis
from gateway.inbound.claims import (
    LEASE_SECONDS,
    Ack,
    Claim,
    Entry,
    Finish,
    GiveUp,
    Hold,
    Outcome,
    Put,
    Record,
    Release,
    Renew,
    Retry,
    State,
    Step,
)
from gateway.inbound.ports import ENTRY_LEASE_SECONDS, LaneStatus, Taken, Waiting

_STATES: Final = tuple(State)
_MAX_LOOKED_AT: Final = 1000
"""Delayed entries among which the oldest is looked for."""
_READ_AT_ONCE: Final = 500
"""Entries of a lane that are looked at in one round trip."""
ABSENT_SECONDS: Final = 3600.0
"""After which a consumer that holds nothing is forgotten; it may come back."""


class RedisStore:
    """The Store in a Redis server."""

    def __init__(self, url: str, *, keep: float, timeout: float, prefix: str = PREFIX) -> None:
        """Remember messages for ``keep`` seconds; a server silent for ``timeout`` seconds is down.

        ``prefix`` begins every key; it must hold a hash tag, so that a cluster keeps them together.
        """
        self._redis = open_redis(url, "store.redis_url", timeout=timeout)
        self._prefix = prefix
        self._commit = Script("redis.lua")
        self._take = Script("redis_take.lua")
        self._times = _pack([int(s * 1000) for s in (keep, LEASE_SECONDS, ENTRY_LEASE_SECONDS)])

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps in one script call."""
        packed = await self._run(self._commit, self._times, _pack([_fields(s) for s in steps]))
        return [
            Outcome(_STATES[state], attempt, age / 1000, reply)
            for state, attempt, age, reply in _unpack(packed)
        ]

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take what is due."""
        lease, absence = int(ENTRY_LEASE_SECONDS * 1000), int(ABSENT_SECONDS * 1000)
        packed = await self._run(self._take, lane, consumer, limit, lease, absence)
        return [
            Taken(id_.decode(), _entry(lane, payload), deliveries, stored / 1000)
            for id_, payload, deliveries, stored in _unpack(packed)
        ]

    async def lanes(self) -> list[LaneStatus]:
        """Return the lanes that hold something."""
        try:
            names = await _await(self._redis.smembers(f"{self._prefix}lanes"))
            found = [await self._status(name.decode()) for name in sorted(names)]
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None
        return [status for status in found if status.waiting or status.delayed or status.held]

    async def _status(self, lane: str) -> LaneStatus:
        stream, due = f"{self._prefix}lane:{lane}", f"{self._prefix}due:{lane}"
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.time()
        pipeline.xlen(stream)
        pipeline.xrange(stream, count=1)
        pipeline.zcard(due)
        pipeline.zrange(due, 0, _MAX_LOOKED_AT)
        pipeline.xpending(stream, "gateway")
        time, length, first, delayed, members, pending = await pipeline.execute(
            raise_on_error=False
        )
        now = time[0] + time[1] / 1_000_000
        stored = [int(fields[b"s"]) for _, fields in first]
        stored += [_unpack(member)[2] for member in members]
        # Before anything was taken there is no group yet, which is an error here.
        held = pending["pending"] if isinstance(pending, dict) else 0
        oldest = now - min(stored) / 1000 if stored else 0.0
        return LaneStatus(lane, length - held, delayed, held, max(0.0, oldest))

    async def recall(self, key: bytes) -> Record | None:
        """Return what is kept of a message."""
        try:
            packed = await self._redis.get(f"{self._prefix}claim:".encode() + key)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None
        if packed is None:
            return None
        first, attempts, owner, lease, reply, stored, given_up = _unpack(packed)
        return Record(first / 1000, attempts, owner, lease / 1000, reply, stored, given_up)

    async def mentioning(self, lane: str, what: Sequence[bytes], most: int) -> list[Waiting]:
        """Return the entries that have any of it in their body; of those delayed, in any order."""
        stream, due = f"{self._prefix}lane:{lane}", f"{self._prefix}due:{lane}"
        found: list[Waiting] = []
        try:
            async for id_, fields in self._read(stream, most):
                entry = _entry(lane, fields[b"e"])
                if any(one in entry.body for one in what):
                    found.append(await self._waiting(stream, id_, entry, fields))
            for member, at in await self._redis.zrange(due, 0, most - 1, withscores=True):
                _, payload, stored, deliveries = _unpack(member)
                entry = _entry(lane, payload)
                if any(one in entry.body for one in what):
                    at_ = at / 1000
                    found.append(Waiting("", entry, deliveries, stored / 1000, False, at_))
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None
        return found

    async def _read(
        self, stream: str, most: int
    ) -> AsyncIterator[tuple[bytes, dict[bytes, bytes]]]:
        """Yield the oldest entries of a stream, up to so many."""
        start, left = "-", most
        while left > 0:
            page = await self._redis.xrange(stream, start, count=min(left, _READ_AT_ONCE))
            for one in page:
                yield one
            if len(page) < _READ_AT_ONCE:
                return
            left -= len(page)
            start = f"({page[-1][0].decode()}"

    async def _waiting(
        self, stream: str, id_: bytes, entry: Entry, fields: dict[bytes, bytes]
    ) -> Waiting:
        try:
            held = await self._redis.xpending_range(stream, "gateway", id_, id_, 1)
        except ResponseError:
            # Before anything was taken there is no group yet.
            held = []
        times = held[0]["times_delivered"] if held else 0
        deliveries = int(fields[b"n"]) + times
        return Waiting(id_.decode(), entry, deliveries, int(fields[b"s"]) / 1000, bool(held))

    async def ping(self) -> None:
        """Return if the server takes a write."""
        try:
            await self._redis.set(f"{self._prefix}ping", b"", px=1000)
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: Script, *arguments: Any) -> bytes:
        try:
            return cast("bytes", await script.run(self._redis, self._prefix, *arguments))
        except (RedisError, OSError) as wrong:
            raise down(wrong) from None


def _fields(step: Step) -> list[Any]:
    """Return a step as the script takes it."""
    return _ENCODERS[type(step)](step)


def _payloads(entries: tuple[Entry, ...]) -> list[Any]:
    return [_payload(entry) for entry in entries]


def _payload(entry: Entry) -> list[Any]:
    return [entry.lane, _pack([entry.account, entry.kind, entry.body]), int(entry.delay * 1000)]


_ENCODERS: Final[dict[type[Step], Callable[[Any], list[Any]]]] = {
    Claim: lambda s: [1, s.key, s.owner, _payloads(s.entries), s.reply, s.again, s.resume],
    Finish: lambda s: [2, s.key, s.owner, s.reply, _payloads(s.late)],
    GiveUp: lambda s: [3, s.key, s.reply, _payload(s.entry)],
    Release: lambda s: [4, s.key, s.owner],
    Renew: lambda s: [5, s.key, s.owner],
    Put: lambda s: [6, s.key, _payloads(s.entries), s.reply, s.given_up],
    Ack: lambda s: [7, s.lane, s.id, _payloads(s.entries)],
    Retry: lambda s: [8, s.lane, s.id, int(s.delay * 1000), s.deliveries],
    Hold: lambda s: [9, s.lane, s.id, s.consumer],
}
"""The steps by the numbers that the script knows them by."""


def _entry(lane: str, payload: bytes) -> Entry:
    account, kind, body = _unpack(payload)
    return Entry(lane, account.decode(), kind.decode(), body)


def _pack(value: Any) -> bytes:
    # Redis' own MessagePack knows no type for bytes but the text's.
    return cast("bytes", msgpack.packb(value, use_bin_type=False))


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=True)


def _await(value: Any) -> Awaitable[Any]:
    # The client's methods are annotated for its synchronous twin too.
    return cast("Awaitable[Any]", value)
