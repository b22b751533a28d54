"""How long it takes to find one of a million people in the SQLite file."""

import asyncio
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.load.generator import LoadError
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.outbound.jobs import job_id

APPS: Final = ("wx00000000000000a1", "wx00000000000000b1")
BATCH: Final = 5000
WRITTEN: Final = 1000
PAUSE_SECONDS: Final = 0.1
LOOKS: Final = 10_000


class Lookups(NamedTuple):
    """What one way of finding somebody takes."""

    by: str
    beside: str
    p50_ms: float
    p99_ms: float
    longest_ms: float
    looks: int


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
    for beside in ("alone", "beside a writer"):
        stop = multiprocessing.get_context("spawn").Event()
        writer = multiprocessing.get_context("spawn").Process(
            target=_write, args=(path, identities, stop)
        )
        if beside != "alone":
            writer.start()
            await asyncio.sleep(1.5)
        try:
            for by in ("open id", "union id", "id"):
                found.append(await _find(store, by, beside, identities, looks))
                progress(found[-1])
        finally:
            stop.set()
            if beside != "alone":
                writer.join()
    await store.close()
    return filled, found


async def _find(
    store: SqliteIdentities, by: str, beside: str, identities: int, looks: int
) -> Lookups:
    draw = random.Random(7)  # noqa: S311  # the same each time
    took = []
    for _ in range(looks):
        number = draw.randrange(identities)
        ask = await _asking(store, by, number)
        began = time.perf_counter()
        person = await ask()
        took.append(1000 * (time.perf_counter() - began))
        if person is None or _user(number) not in [one.user for one in person.identities]:
            raise LoadError("somebody else was found")
    took.sort()
    p99 = took[int(0.99 * len(took))]
    return Lookups(by, beside, took[len(took) // 2], p99, took[-1], looks)


async def _asking(store: SqliteIdentities, by: str, number: int) -> Callable[[], Awaitable[Any]]:
    if by == "open id":
        return lambda: store.owner(_user(number))
    if by == "union id":
        return lambda: store.bearer(_union_id(number))
    person = await store.owner(_user(number))
    id_ = "" if person is None else person.id
    return lambda: store.person(id_)


def _write(path: Path, identities: int, stop: Event) -> None:
    """Let users be active, a thousand at a time, as a gateway's process stores it."""

    async def write() -> None:
        store, draw = _open(path), random.Random(11)  # noqa: S311  # the same each time
        while not stop.is_set():
            numbers = draw.sample(range(identities), min(WRITTEN, identities))
            now = time.time()
            await store.see([_sighting(number)._replace(at=now) for number in numbers])
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
