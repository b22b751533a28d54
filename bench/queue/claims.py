"""What a claim takes, and saying what became of it, with more and more jobs waiting."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.percentiles import percentiles
from bench.push.worker import make_job, postgres_store
from gateway.adapters.postgres_link import connect
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.outbound.jobs import Ask, Attempt, Channel, Held, Job, Settled, State
from gateway.outbound.ports import JobQueue

BATCH: Final = 100
_STORED_AT_ONCE: Final = 1000
_WORKER: Final = "bench"
SizeOf = Callable[[], Awaitable[dict[str, int]]]
_ASKS: Final = [Ask("main", channel, BATCH, BATCH // 4) for channel in Channel]
_SIZES: Final = """
SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c
WHERE c.relname LIKE 'gateway_push_%' AND c.relkind IN ('r', 'i') ORDER BY 1
"""


class Claims(NamedTuple):
    """What was measured with so many jobs waiting."""

    store: str
    waiting: int
    claim_ms: float
    """Median of a claim of BATCH jobs."""
    claim_ms_p99: float
    settle_ms: float
    """Median of saying what became of them."""
    settle_ms_p99: float
    bytes: dict[str, int]
    """Of each table and index; of the whole file for SQLite."""


def measure(sizes: Sequence[int], cycles: int, progress: Callable[[Claims], None]) -> list[Claims]:
    """Measure each store with each number of jobs waiting."""
    measured = []
    for name, store in (("SQLite", _sqlite), ("Postgres", _postgres)):
        with TemporaryDirectory(prefix="gateway-bench-") as folder, store(Path(folder)) as opened:
            queue, size_of = opened
            for one in asyncio.run(_measure(name, queue, size_of, sizes, cycles)):
                progress(one)
                measured.append(one)
    return measured


async def _measure(
    name: str,
    queue: JobQueue,
    size_of: SizeOf,
    sizes: Sequence[int],
    cycles: int,
) -> list[Claims]:
    measured, waiting = [], 0
    try:
        for size in sizes:
            for start in range(waiting, size, _STORED_AT_ONCE):
                end = min(size, start + _STORED_AT_ONCE)
                await queue.add([_job(number) for number in range(start, end)])
            waiting = size
            claims, settles = [], []
            for cycle in range(cycles):
                await queue.beat(_WORKER, 600)
                began = time.perf_counter()
                held = await queue.claim(_WORKER, _ASKS, BATCH)
                claimed = time.perf_counter()
                await queue.settle(_WORKER, [_sent(one) for one in held])
                settles.append(time.perf_counter() - claimed)
                claims.append(claimed - began)
                first = 1_000_000_000 + size + cycle * BATCH
                await queue.add([_job(number) for number in range(first, first + len(held))])
            measured.append(
                Claims(
                    name,
                    size,
                    *_milliseconds(claims),
                    *_milliseconds(settles),
                    await size_of(),
                )
            )
    finally:
        await queue.close()
    return measured


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[JobQueue, SizeOf]]:
    file = folder / "gateway.db"

    def size() -> dict[str, int]:
        return {"the whole file": sum(one.stat().st_size for one in folder.glob("gateway.db*"))}

    async def size_of() -> dict[str, int]:
        return await asyncio.to_thread(size)

    yield SqliteQueue(file, timeout=60), size_of


@contextmanager
def _postgres(folder: Path) -> Iterator[tuple[JobQueue, SizeOf]]:
    with contextmanager(postgres_store)(folder) as line:
        dsn = line.partition('"')[2].rstrip('"\n')

        async def size_of() -> dict[str, int]:
            async with connect(dsn, 10) as database:
                return {row[0]: row[1] for row in await database.fetch(_SIZES)}

        yield PostgresQueue(dsn, timeout=60), size_of


def _milliseconds(seconds: Sequence[float]) -> tuple[float, float]:
    found = percentiles(seconds)
    return 1000 * found["p50"], 1000 * found["p99"]


def _job(number: int) -> Job:
    return make_job(number)._replace(idempotency_key=f"bench/{number}")


def _sent(held: Held) -> Settled:
    now = time.time()
    attempts = (Attempt(now, 0.1, State.SENT),)
    return Settled(held.id, State.SENT, now, "", 1, None, attempts, message_id=str(time.time_ns()))
