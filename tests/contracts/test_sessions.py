"""One suite over every SessionStore: SQLite, Redis."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import pytest

from gateway.adapters.redis_sessions import RedisSessions
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.errors import StoreDown
from gateway.identity.ports import SessionStore
from gateway.identity.session import Session
from tests.contracts.records import Opener
from tests.services import GivenRedis, RedisServer, redis_server

_numbers: Final = count(1)


def session(person: str = "p1", **given: object) -> Session:
    """Return a session that is good for a minute."""
    number, now = next(_numbers), time.time()
    made = Session(
        id=f"session-{number}",
        person=person,
        account="main",
        app_id="wx1234567890abcdef",
        open_id="oUser",
        began_at=now + number,
        seen_at=now,
        expires_at=now + 60,
        ends_at=now + 600,
        union_id="oUnion",
        nickname="小明🎈",
        roles=("admin", "staff"),
        permissions=("orders:read",),
    )
    return msgspec.structs.replace(made, **given)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | GivenRedis]:
    """A Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[SessionStore]:
    """Stores of each kind, with nothing in them."""
    if request.param == "sqlite":
        return Opener(lambda: SqliteSessions(tmp_path / "var" / "g.db", timeout=5))
    server: RedisServer | GivenRedis = request.getfixturevalue("redis")
    prefix = f"{{{tmp_path.name}}}:"
    return Opener(lambda: RedisSessions(server.url, timeout=5, prefix=prefix))


def test_a_session_is_read_by_every_process_as_it_was_put(opener: Opener[SessionStore]) -> None:
    async def scenario() -> None:
        one, other = session(), session()
        await opener.open().put(one)
        await opener.open().put(other)
        assert await opener.open().get([other.id, "unknown", one.id]) == [other, None, one]
        assert await opener.open().get([]) == []

    opener.play(scenario)


def test_a_session_is_gone_when_its_time_is_over(opener: Opener[SessionStore]) -> None:
    async def scenario() -> None:
        store, soon = opener.open(), session(expires_at=time.time() + 0.2)
        await store.put(soon)
        await asyncio.sleep(0.3)
        assert await store.get([soon.id]) == [None]
        assert await store.of([soon.person]) == []
        assert not await store.change(msgspec.structs.replace(soon, expires_at=time.time() + 60))
        await store.prune()
        assert await store.get([soon.id]) == [None]

    opener.play(scenario)


def test_a_change_takes_the_place_of_what_was_there(opener: Opener[SessionStore]) -> None:
    async def scenario() -> None:
        store, one = opener.open(), session(expires_at=time.time() + 0.3)
        await store.put(one)
        renewed = msgspec.structs.replace(one, expires_at=time.time() + 60, roles=())
        assert await store.change(renewed)
        await asyncio.sleep(0.4)
        assert await opener.open().get([one.id]) == [renewed]
        assert await store.of([one.person]) == [renewed]

    opener.play(scenario)


def test_a_session_that_was_ended_is_not_brought_back_by_a_change(
    opener: Opener[SessionStore],
) -> None:
    async def scenario() -> None:
        store, one = opener.open(), session()
        await store.put(one)
        assert await opener.open().revoke([one.id, "unknown"]) == 1
        assert not await store.change(one)
        assert await store.get([one.id]) == [None]
        assert await store.revoke([one.id]) == 0

    opener.play(scenario)


def test_the_sessions_of_people_come_newest_first(opener: Opener[SessionStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        first, second, third = session("p1"), session("p2"), session("p1")
        for one in (first, second, third, session("p3")):
            await store.put(one)
        assert await store.of(["p1", "p2", "p4"]) == [third, second, first]
        await store.revoke([third.id])
        assert await store.of(["p1"]) == [first]

    opener.play(scenario)


def test_a_session_may_change_hands(opener: Opener[SessionStore]) -> None:
    async def scenario() -> None:
        store, one, other = opener.open(), session("p1"), session("p1")
        await store.put(one)
        await store.put(other)
        moved = msgspec.structs.replace(one, person="p2")
        assert await store.change(moved)
        assert await store.of(["p1"]) == [other]
        assert await store.of(["p2"]) == [moved]
        assert await store.revoke([one.id]) == 1
        assert await store.of(["p2"]) == []

    opener.play(scenario)


def test_what_has_expired_is_removed_from_the_disk(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = [1000.0]
        store = SqliteSessions(tmp_path / "g.db", timeout=5, clock=lambda: clock[0])
        for number in range(1500):
            await store.put(session(id=str(number), expires_at=1010.0 + number % 2 * 100))
        clock[0] = 1050.0
        assert await store.prune() == 750
        assert await store.prune() == 0
        assert len(await store.of(["p1"])) == 750
        await store.close()

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_a_store_that_is_down() -> None:
    async def scenario() -> None:
        store = RedisSessions("redis://127.0.0.1:1", timeout=1)
        with pytest.raises(StoreDown, match=r"store\.redis_url"):
            await store.get(["one"])
        await store.close()

    asyncio.run(scenario())


def test_nothing_of_a_persons_is_left_in_redis_when_their_sessions_are_over(
    redis: RedisServer | GivenRedis,
) -> None:
    async def scenario() -> None:
        store = RedisSessions(redis.url, timeout=5, prefix="{left}:")
        await store.put(session("p9", expires_at=time.time() + 0.2))
        await asyncio.sleep(0.4)
        assert [key async for key in store._redis.scan_iter("{left}:*")] == []
        await store.close()

    asyncio.run(scenario())
