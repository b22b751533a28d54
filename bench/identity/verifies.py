"""How many sessions are verified a second, and how soon the end of one is seen."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.identity.place import running
from bench.load.cores import Cores, CpuClock, busy_clock, cpu_seconds, processes_of_group
from bench.load.generator import LoadError
from gateway.app.api import Apis
from gateway.app.identity import Identities
from gateway.app.stores import sqlite_path
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.sessions import Opened
from gateway.settings import load_settings
from tests.e2e.signing_in import Place
from tests.support import APP_ID

SESSIONS: Final = 1000
CONNECTIONS: Final = 64
SAMPLE: Final = 100
"""Sessions whose answers are compared one by one, before the load."""

ENDED: Final = 20
POLL_SECONDS: Final = 0.005

_LUA: Final = Path(__file__).with_name("verify.lua")


class Row(NamedTuple):
    """What is measured."""

    name: str
    servers: bool
    cache: float
    signed_in: bool = True


ROWS: Final = (
    Row("Redis, cache 1 s", servers=True, cache=1.0),
    Row("Redis, no cache", servers=True, cache=0.0),
    Row("SQLite, cache 1 s", servers=False, cache=1.0),
    Row("nobody signed in", servers=False, cache=1.0, signed_in=False),
)


class Verifies(NamedTuple):
    """What was measured in a round."""

    row: str
    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    wrong: int
    server_percent: float | None
    """Of its core, that the gateway took; None where it cannot be read."""
    generator_percent: float | None
    """Of the other core, that wrk and the stores took, and whatever else ran there."""
    others_percent: float | None
    """Of the gateway's core, that something else took."""


class Ends(NamedTuple):
    """Seconds from the end of a session in one process to its refusal in another."""

    median: float
    longest: float
    cache: float


def measure(
    row: Row, cores: Cores, seconds: int, rounds: int, progress: Callable[[object], None]
) -> tuple[list[Verifies], Ends | None]:
    """Return what each round had; and how soon an end is seen, where that is Redis with a cache."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadError("wrk is not there; apt install wrk")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), cores, servers=row.servers, cache=row.cache) as place,
        _identities(place) as identities,
    ):
        tokens = asyncio.run(_sign_in(identities))
        file = Path(folder) / "tokens"
        file.write_text("\n".join(token for token, _ in tokens), encoding="utf-8")
        _compare(place, tokens[:SAMPLE])
        given = [str(seconds), *(("200", str(file)) if row.signed_in else ("401",))]
        made = []
        for _ in range(rounds):
            made.append(_round(wrk, row, place, cores, given))
            progress(made[-1])
        ends = None
        if row.servers and row.cache:
            ends = asyncio.run(_ends(place, row.cache))
            progress(ends)
        return made, ends


def _round(wrk: str, row: Row, place: Place, cores: Cores, given: list[str]) -> Verifies:
    seconds, *script = given
    gateway = processes_of_group(place.server.process.pid)
    clocks: tuple[CpuClock, ...] = (lambda: cpu_seconds(gateway), *map(busy_clock, reversed(cores)))
    before, began = [clock() for clock in clocks], time.perf_counter()
    ran = subprocess.run(
        [
            *(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(_LUA)),
            *(place.url, "--", *script),
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=int(seconds) + 60,
    )
    took, after = time.perf_counter() - began, [clock() for clock in clocks]
    server, generator, on_server = (
        None if end is None or start is None else round(100 * (end - start) / took, 1)
        for start, end in zip(before, after, strict=True)
    )
    _, found, told = ran.stdout.partition("RESULT ")
    if not found:
        raise LoadError(f"wrk ended with {ran.returncode}: {ran.stderr.strip()[:200]}")
    got = json.loads(told)
    per_second = got["requests"] / got["seconds"]
    others = None if server is None or on_server is None else round(max(0, on_server - server), 1)
    return Verifies(
        *(row.name, per_second, got["p50_ms"], got["p99_ms"], got["requests"], got["wrong"]),
        *(server, generator, others),
    )


@contextmanager
def _identities(place: Place) -> Iterator[Callable[[], Identities]]:
    """Give what makes this process's own side of the gateway's stores."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name[:8] == "GATEWAY_"}
    settings = load_settings(place.folder / "gateway.toml")
    os.environ.update(before)
    # The gateway's own is below the folder that it was started in.
    store = settings.store.model_copy(
        update={"url": f"sqlite:///{place.folder}/{sqlite_path(settings.store.url)}"}
    )
    settings = settings.model_copy(update={"store": store})
    yield lambda: Identities(settings, Apis(settings))


async def _sign_in(make: Callable[[], Identities]) -> list[tuple[str, str]]:
    """Return the tokens of people who signed in, each with its person."""
    identities = make()
    sightings = [_sighting(f"oBench{number:022d}") for number in range(SESSIONS)]
    await identities.store.see(sightings)
    opened = [await _open(identities, one) for one in sightings]
    await identities.stop()
    return [(one.token, one.session.person) for one in opened]


def _sighting(open_id: str) -> Sighting:
    return Sighting(AppUser(APP_ID, open_id), Platform.OFFICIAL_ACCOUNT, time.time())


async def _open(identities: Identities, sighting: Sighting) -> Opened:
    """Open a session of somebody who was seen."""
    person = await identities.directory.whoever(sighting)
    if person is None:
        raise LoadError("somebody who was seen is not known")
    return await identities.sessions.open(identities.apps["main"], person, person.identities[0])


def _compare(place: Place, tokens: list[tuple[str, str]]) -> None:
    """Ask about each; raise LoadError where the answer is another's."""
    for token, person in tokens:
        cookie = {"cookie": f"gateway_session={token}"}
        answer = place.ask("GET", f"{place.url}/session/verify", headers=cookie)
        if (answer.status, answer.header("x-auth-user")) != (200, person):
            raise LoadError("a session was verified as another's")


async def _ends(place: Place, cache: float) -> Ends:
    """End sessions here while the gateway verifies them."""
    with _identities(place) as make:
        identities = make()
        took = []
        for number in range(ENDED):
            opened = await _open(identities, _sighting(f"oEnded{number:022d}"))
            # So that the ends fall anywhere in the cache's time.
            await _until(place, opened.token, 200, cache * number / ENDED)
            await identities.sessions.end([opened.session.id])
            took.append(await _until(place, opened.token, 401))
        await identities.stop()
    took.sort()
    return Ends(took[len(took) // 2], took[-1], cache)


async def _until(place: Place, token: str, status: int, seconds: float = 0.0) -> float:
    """Ask until the answer has a status, for so many seconds at least; return the seconds."""
    cookie: dict[str, Any] = {"cookie": f"gateway_session={token}"}
    began = time.perf_counter()
    while True:
        url = f"{place.url}/session/verify"
        answer = await asyncio.to_thread(place.ask, "GET", url, None, cookie)
        took = time.perf_counter() - began
        if answer.status == status and took >= seconds:
            return took
        if took > 30:
            raise LoadError(f"a session was not answered with {status} within 30 s")
        await asyncio.sleep(POLL_SECONDS)
