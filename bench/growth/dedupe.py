"""Claiming messages in stores that remember more and more of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from redis.asyncio import Redis

from bench.growth.clock import WrongResult
from bench.growth.scale import Scale
from bench.growth.section import Cells, Picture, Row, Section, find, lines_of, sizes_of, spread
from bench.load.report import Spread
from gateway.adapters.memory import MemoryStore
from gateway.adapters.redis import RedisStore
from gateway.adapters.sqlite import SqliteStore
from gateway.inbound.claims import MAX_RECORDS, Claim, Finish, State
from gateway.inbound.ports import Store
from tests.services import redis_server

BATCH: Final = 32
"""Messages that are claimed, and then finished, in one round trip each."""

BATCHES: Final = 4
"""In a run."""

REPLY: Final = bytes(640)
"""As long as the sealed echo of a text of a usual size."""

_FILL: Final = 2_000
"""Messages stored at once to get to a size."""

_KEEP: Final = 86_400.0
_TIMEOUT: Final = 60.0
_OWNER: Final = b"0123456789abcdef"
_MIB: Final = 1 << 20

Bytes = Callable[[], Awaitable[int | None]]
"""Tells how large the store is; None where that is not known."""

STORES: Final = ("memory", "sqlite", "redis")


def measure(scale: Scale) -> list[Row]:
    """Fill each store step by step, and measure it at each size."""
    return asyncio.run(_measure(scale))


async def _measure(scale: Scale) -> list[Row]:
    rows = []
    for name, opened in zip(STORES, (_memory, _sqlite, _redis), strict=True):
        async with opened() as (store, size):
            rows += await _grow(name, store, size, scale)
    return rows


async def _grow(name: str, store: Store, size: Bytes, scale: Scale) -> list[Row]:
    keys, held, rows = _keys(), 0, []
    for wanted in scale.keys:
        held = await _fill(store, keys, held, wanted)
        remembered = min(held, MAX_RECORDS) if name == "memory" else held
        taken = await size()
        us = await _time(store, keys, scale.runs)
        held += (1 + scale.runs) * BATCHES * BATCH
        rows.append(
            {
                "store": name,
                "keys": wanted,
                "remembered": remembered,
                "us": us._asdict(),
                "bytes": taken,
            }
        )
    return rows


async def _fill(store: Store, keys: Iterator[bytes], held: int, wanted: int) -> int:
    """Let the store remember so many messages; return how many it was told of."""
    while held < wanted:
        batch = min(_FILL, wanted - held)
        await store.commit([Claim(next(keys), _OWNER, reply=REPLY) for _ in range(batch)])
        held += batch
    return held


async def _time(store: Store, keys: Iterator[bytes], runs: int) -> Spread:
    """Return the microseconds of a step, a claim or a finish, over the runs behind a first one."""
    taken = []
    for _ in range(1 + runs):
        fresh = [[next(keys) for _ in range(BATCH)] for _ in range(BATCHES)]
        started = perf_counter()
        for batch in fresh:
            claimed = await store.commit([Claim(key, _OWNER) for key in batch])
            finished = await store.commit([Finish(key, _OWNER, REPLY) for key in batch])
            if {one.state for one in claimed} != {State.FRESH} or {
                one.state for one in finished
            } != {State.DONE}:
                raise WrongResult("a message that no store had seen was not fresh")
        taken.append(1e6 * (perf_counter() - started) / (BATCHES * BATCH * 2))
    return Spread.of(taken[1:])


def _keys() -> Iterator[bytes]:
    """Return keys as messages have them: 16 bytes, as if by chance."""
    return (blake2b(b"%d" % number, digest_size=16).digest() for number in count())


@asynccontextmanager
async def _memory() -> AsyncIterator[tuple[Store, Bytes]]:
    async def unknown() -> None:
        return None

    yield MemoryStore(_KEEP, time.time), unknown


@asynccontextmanager
async def _sqlite() -> AsyncIterator[tuple[Store, Bytes]]:
    with TemporaryDirectory(prefix="gateway-bench-") as directory:
        folder = Path(directory)
        store = SqliteStore(folder / "gateway.db", keep=_KEEP, timeout=_TIMEOUT)

        async def size() -> int:
            return _bytes_in(folder)

        try:
            yield store, size
        finally:
            await store.close()


def _bytes_in(folder: Path) -> int:
    """Return the size of the database with the log of what is still to be written to it."""
    return sum(file.stat().st_size for file in folder.iterdir())


@asynccontextmanager
async def _redis() -> AsyncIterator[tuple[Store, Bytes]]:
    with (
        TemporaryDirectory(prefix="gateway-bench-") as directory,
        redis_server(Path(directory), appendonly="everysec") as server,
    ):
        client = Redis.from_url(server.url)
        store = RedisStore(server.url, keep=_KEEP, timeout=_TIMEOUT)

        async def size() -> int:
            return int((await client.info("memory"))["used_memory"])

        try:
            yield store, size
        finally:
            await store.close()
            await client.aclose()


def _headings(_rows: Sequence[Row]) -> Cells:
    return ("messages", "memory us", "SQLite us", "SQLite MiB", "Redis us", "Redis MiB")


def _cells(rows: Sequence[Row]) -> list[Cells]:
    table = []
    for keys in sizes_of(rows, "keys"):
        cells = [f"{keys:,}"]
        for store in STORES:
            row = find(rows, keys=keys, store=store)
            if row is None:
                continue
            bounded = f", {row['remembered']:,} kept" if row["remembered"] < keys else ""
            cells.append(spread(row).show(1) + bounded)
            if row["bytes"] is not None:
                cells.append(f"{row['bytes'] / _MIB:,.1f}")
        table.append(tuple(cells))
    return table


def _picture(rows: Sequence[Row]) -> Picture:
    return Picture(
        "a step of a claim, by how many messages are remembered",
        "messages remembered",
        "us",
        lines_of(rows, "keys", "store"),
    )


DEDUPE: Final = Section(
    "dedupe",
    "claiming and finishing a message in stores that remember more and more of them",
    measure,
    _headings,
    _cells,
    _picture,
    (
        f"A step is a claim or a finish of a new message, {BATCH} of them to a round trip.",
        f"Each message is remembered with a reply of {len(REPLY)} bytes.",
        f"memory:// remembers {MAX_RECORDS:,} messages and forgets the oldest.",
        "SQLite: a temporary file and its log. Redis: appendfsync everysec; its used_memory.",
    ),
)
