"""One suite over every TokenStore: memory, SQLite, Redis."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.redis_tokens import RedisTokens
from gateway.adapters.sqlite_tokens import SqliteTokens
from gateway.errors import StoreDown
from gateway.outbound.ports import Claimed, StoredToken, TokenStore
from tests.contracts.records import Opener
from tests.services import GivenRedis, RedisServer, redis_server

NAME: Final = "wx1234567890abcdef"
SECONDS: Final = 60.0


def token(fence: int, value: str = "令牌-token") -> StoredToken:
    """Return a token of a refresh."""
    return StoredToken(value, fence, 1_790_000_000.125, 1_790_007_200.125)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[TokenStore]:
    """Stores of each kind, with nothing in them."""
    if request.param == "memory":
        one = MemoryTokens()
        return Opener(lambda: one)
    if request.param == "sqlite":
        return Opener(lambda: SqliteTokens(tmp_path / "var" / "g.db", timeout=5))
    redis: RedisServer | GivenRedis = request.getfixturevalue("redis")
    return Opener(lambda: RedisTokens(redis.url, timeout=5))


def test_a_token_is_read_as_it_was_put(opener: Opener[TokenStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        assert await store.read(NAME) is None
        assert await store.claim(NAME, 0, SECONDS) == Claimed(None, 1)
        assert await store.read(NAME) is None
        assert await store.put(NAME, token(1))
        assert await opener.open().read(NAME) == token(1)
        assert await store.read("another") is None

    opener.play(scenario)


def test_one_process_at_a_time_may_refresh(opener: Opener[TokenStore]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        assert (await one.claim(NAME, 0, SECONDS)).fence == 1
        assert await other.claim(NAME, 0, SECONDS) == Claimed(None, None)
        assert (await other.claim("another", 0, SECONDS)).fence == 1
        await one.put(NAME, token(1))
        # Whoever still wants to replace what was there before gets what is there now.
        assert await other.claim(NAME, 0, SECONDS) == Claimed(token(1), None)
        assert (await other.claim(NAME, 1, SECONDS)).fence == 2

    opener.play(scenario)


def test_of_many_that_ask_at_once_one_is_let_through(opener: Opener[TokenStore]) -> None:
    async def scenario() -> None:
        stores = [opener.open() for _ in range(8)]
        claimed = await asyncio.gather(*(store.claim(NAME, 0, SECONDS) for store in stores))
        assert sorted(one.fence or 0 for one in claimed) == [0] * 7 + [1]

    opener.play(scenario)


def test_a_refresh_that_takes_too_long_is_overtaken_and_stores_nothing(
    opener: Opener[TokenStore],
) -> None:
    """The fence: an older token never takes a newer one's place."""

    async def scenario() -> None:
        slow, quick = opener.open(), opener.open()
        assert (await slow.claim(NAME, 0, 0.05)).fence == 1
        await asyncio.sleep(0.1)
        assert (await quick.claim(NAME, 0, SECONDS)).fence == 2
        assert not await slow.put(NAME, token(1, "old"))
        assert await quick.put(NAME, token(2, "new"))
        assert not await slow.put(NAME, token(1, "old"))
        assert await slow.read(NAME) == token(2, "new")

    opener.play(scenario)


def test_behind_a_refresh_that_failed_nobody_may_for_a_while(opener: Opener[TokenStore]) -> None:
    async def scenario() -> None:
        store, other = opener.open(), opener.open()
        assert (await store.claim(NAME, 0, SECONDS)).fence == 1
        await store.give_up(NAME, 1, 0.2)
        assert (await other.claim(NAME, 0, SECONDS)).fence is None
        await asyncio.sleep(0.3)
        assert (await other.claim(NAME, 0, SECONDS)).fence == 2
        # One that is not the last any more has nothing to give up.
        await store.give_up(NAME, 1, 0.0)
        assert (await store.claim(NAME, 0, SECONDS)).fence is None

    opener.play(scenario)


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    with redis_server(tmp_path / "redis") as server:
        yield server


def test_a_redis_that_is_gone_is_store_down(killable: RedisServer) -> None:
    async def scenario() -> None:
        store = RedisTokens(killable.url, timeout=1)
        await store.claim(NAME, 0, SECONDS)
        killable.kill()
        for call in (
            store.read(NAME),
            store.claim(NAME, 0, SECONDS),
            store.put(NAME, token(1)),
            store.give_up(NAME, 1, SECONDS),
        ):
            with pytest.raises(StoreDown):
                await call
        await store.close()

    asyncio.run(scenario())


def test_a_folder_in_the_place_of_the_file_is_store_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SqliteTokens(tmp_path, timeout=1)
        with pytest.raises(StoreDown):
            await store.read(NAME)
        await store.close()

    asyncio.run(scenario())


def test_a_token_shows_itself_to_nobody() -> None:
    assert "令牌" not in repr(token(1)) + str(token(1))
