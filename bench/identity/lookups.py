"""How long it takes to find one of a million people in the SQLite file."""

import asyncio
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, NamedTuple

from bench.load.generator import LoadError
from bench.percentiles import percentiles
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.outbound.jobs import job_id

APPS: Final = ("wx00000000000000a1", "wx00000000000000b1")
BATCH: Final = 5000
WRITTEN: Final = 1000
PAUSE_SECONDS: Final = 0.1
LOOKS: Final = 10_000

_START_SECONDS: Final = 60.0


class Lookups(NamedTuple):
    """What one way of finding somebody takes."""

    by: str
    beside: str
    p50_ms: float
    p99_ms: float
    longest_ms: float
    looks: int
    batches: int
    """That the writer stored meanwhile."""


class Filled(NamedTuple):
    """How the file was filled."""

    open_ids: int
    per_second: float
    bytes: int


def measure(
    identities: int, looks: int, progress: Callable[[object], None]
) -> tuple[Filled, list[Lookups]]:
    """Return how fast it was filled, and what finding takes, alone and beside a writer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        return asyncio.run(_measure(path, identities, looks, progress))


async def _measure(
    path: Path, identities: int, looks: int, progress: Callable[[object], None]
) -> tuple[Filled, list[Lookups]]:
    store = _open(path)
    began = time.perf_counter()
    for start in range(0, identities, BATCH):
        last = min(start + BATCH, identities)
        await store.see([_sighting(number) for number in range(start, last)])
    seconds = time.perf_counter() - began
    filled = Filled(identities, identities / seconds, _size(path))
    progress(filled)
    found: list[Lookups] = []
    draw = random.Random(7)  # noqa: S311  # the same each time
    numbers = [draw.randrange(identities) for _ in range(looks)]
    # Before anything is timed: whoever was just looked up is found sooner.
    ids = [await _id_of(store, number) for number in numbers]
    for beside in ("alone", "beside a writer"):
        async with _writer(path, identities, runs=beside != "alone") as batches:
            for by in ("open id", "union id", "id"):
                before = batches()
                took = await _find(store, by, numbers, ids)
                one = Lookups(by, beside, *took, looks, batches() - before)
                progress(one)
                found.append(one)
    await store.close()
    return filled, found


async def _find(
    store: SqliteIdentities, by: str, numbers: Sequence[int], ids: Sequence[str]
) -> tuple[float, float, float]:
    """Return the milliseconds that it takes to find these: p50, p99 and the longest."""
    took = []
    for number, id_ in zip(numbers, ids, strict=True):
        began = time.perf_counter()
        if by == "open id":
            person = await store.owner(_user(number))
        elif by == "union id":
            person = await store.bearer(_union_id(number))
        else:
            person = await store.person(id_)
        took.append(1000 * (time.perf_counter() - began))
        if person is None or _user(number) not in [one.user for one in person.identities]:
            raise LoadError("somebody else was found")
    told = percentiles(took)
    return told["p50"], told["p99"], told["max"]


async def _id_of(store: SqliteIdentities, number: int) -> str:
    person = await store.owner(_user(number))
    if person is None:
        raise LoadError("somebody who was stored is not found")
    return person.id


@asynccontextmanager
async def _writer(path: Path, identities: int, *, runs: bool) -> AsyncIterator[Callable[[], int]]:
    """Run a process that writes, where one is wanted; tell how many batches it stored so far."""
    if not runs:
        yield lambda: 0
        return
    spawn = multiprocessing.get_context("spawn")
    stop, stored = spawn.Event(), spawn.Value("q", 0)
    process = spawn.Process(target=_write, args=(path, identities, stop, stored))
    process.start()
    try:
        until = time.monotonic() + _START_SECONDS
        while not stored.value:
            if not process.is_alive() or time.monotonic() > until:
                raise LoadError("the writer does not write")
            await asyncio.sleep(0.05)
        yield lambda: stored.value
    finally:
        stop.set()
        process.join()
    if process.exitcode:
        raise LoadError("the writer failed while others were looked up")


def _write(path: Path, identities: int, stop: Event, stored: "Synchronized[int]") -> None:
    """Let users be active, a thousand at a time, as a gateway's process stores it."""

    async def write() -> None:
        store, draw = _open(path), random.Random(11)  # noqa: S311  # the same each time
        while not stop.is_set():
            numbers = draw.sample(range(identities), min(WRITTEN, identities))
            now = time.time()
            await store.see([_sighting(number)._replace(at=now) for number in numbers])
            stored.value += 1
            await asyncio.sleep(PAUSE_SECONDS)
        await store.close()

    asyncio.run(write())


def _size(path: Path) -> int:
    return path.stat().st_size


def _open(path: Path) -> SqliteIdentities:
    return SqliteIdentities(path, timeout=30, new_id=lambda: job_id(time.time(), os.urandom(10)))


def _user(number: int) -> AppUser:
    return AppUser(APPS[number % 2], f"oBench{number // 2:022d}")


def _union_id(number: int) -> str:
    """Return a union id: two open ids have the same, one in each app."""
    return f"oUnion{number // 2:022d}"


def _sighting(number: int) -> Sighting:
    user, kind = _user(number), Platform.OFFICIAL_ACCOUNT
    return Sighting(user, kind, 1_790_000_000.0, _union_id(number), subscribed=True)
