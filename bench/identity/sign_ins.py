"""What a sign-in costs: to WeChat's page and back with a session, and a mini program's login."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
from yarl import URL

from bench.identity.place import running
from bench.load.cores import Cores, cpu_seconds, processes_of_group
from bench.load.generator import LoadError
from tests.e2e.signing_in import MINI, Place
from tests.support import APP_ID

AT_ONCE: Final = 16
PEOPLE: Final = 100

BASE: Final = "snsapi_base"
USERINFO: Final = "snsapi_userinfo"
MINI_PROGRAM: Final = "mini program"


class SignIns(NamedTuple):
    """What was measured in a round."""

    store: str
    kind: str
    per_second: float
    """By the wall; WeChat, the stores and the client share a core."""
    cpu_ms: float
    """Of the gateway's core, for each."""
    many: int


def measure(
    *, servers: bool, cores: Cores, count: int, rounds: int, progress: Callable[[object], None]
) -> list[SignIns]:
    """Return what each round of each kind had; raise LoadError where somebody is not signed in."""
    store = "Redis + Postgres" if servers else "SQLite"
    made = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), cores, servers=servers, cache=1.0) as place,
    ):
        for number in range(rounds + 1):
            for kind in (BASE, USERINFO, MINI_PROGRAM):
                # The first is a warm-up: everybody is new then, and known in those that count.
                one = _round(place, store, kind, count if number else PEOPLE)
                if number:
                    progress(one)
                    made.append(one)
    return made


def _round(place: Place, store: str, kind: str, count: int) -> SignIns:
    codes = [_code(place, kind, number) for number in range(count)]
    group = processes_of_group(place.server.process.pid)
    before, began = cpu_seconds(group), time.perf_counter()
    asyncio.run(_all(place, kind, codes))
    seconds, after = time.perf_counter() - began, cpu_seconds(group)
    cpu = 0.0 if before is None or after is None else after - before
    return SignIns(store, kind, count / seconds, 1000 * cpu / count, count)


def _code(place: Place, kind: str, number: int) -> str:
    person = f"用户{number % PEOPLE}"
    if kind == MINI_PROGRAM:
        return str(place.control("js_code", appid=MINI, person=person)["code"])
    return str(place.control("code", appid=APP_ID, scope=kind, person=person)["code"])


async def _all(place: Place, kind: str, codes: list[str]) -> None:
    waiting = iter(codes)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as session:

        async def work() -> None:
            for code in waiting:
                await sign_in(session, place, kind, code)

        sign_in: Callable[..., Awaitable[None]] = _app if kind == MINI_PROGRAM else _page
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _page(session: aiohttp.ClientSession, place: Place, scope: str, code: str) -> None:
    begin = URL(f"{place.url}/oauth/main/authorize").with_query(
        scope=scope, redirect=f"{place.url}/session"
    )
    async with session.get(begin, allow_redirects=False) as leave:
        query = parse_qs(urlsplit(leave.headers["location"]).query)
        ((name, cookie),) = leave.cookies.items()
    back = URL(f"{place.url}/oauth/main/callback").with_query(code=code, state=query["state"][0])
    headers = {"cookie": f"{name}={cookie.value}"}
    async with session.get(back, allow_redirects=False, headers=headers) as came:
        if came.status != 302 or "gateway_session" not in came.cookies:
            raise LoadError(f"a sign-in ended with {came.status}")


async def _app(session: aiohttp.ClientSession, place: Place, _kind: str, code: str) -> None:
    url = f"{place.url}/miniprogram/mini/login"
    async with session.post(url, json={"code": code}) as came:
        if came.status != 200 or "token" not in await came.json():
            raise LoadError(f"a login ended with {came.status}")
