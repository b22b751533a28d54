"""One suite over every SignInStore: SQLite, Redis."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.adapters.redis_sign_ins import RedisSignIns
from gateway.adapters.sqlite_sign_ins import SqliteSignIns
from gateway.errors import StoreDown
from gateway.identity.ports import Claim, SignInStore
from tests.contracts.records import Opener
from tests.services import GivenRedis, RedisServer, redis_server

OUTCOME: Final = b'{"token":"\xe5\xa5\xbd"}\x00'
CODE: Final = b"\x00digest"
LONG: Final = 60.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | GivenRedis]:
    """A Redis."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[SignInStore]:
    """Stores of each kind, with nothing in them."""
    if request.param == "sqlite":
        return Opener(lambda: SqliteSignIns(tmp_path / "var" / "g.db", timeout=5))
    server: RedisServer | GivenRedis = request.getfixturevalue("redis")
    prefix = f"{{{tmp_path.name}}}:"
    return Opener(lambda: RedisSignIns(server.url, timeout=5, prefix=prefix))


def test_one_process_at_a_time_may_exchange_the_code(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        stores = [opener.open() for _ in range(8)]
        claims = await asyncio.gather(*(store.claim("key", CODE, LONG, LONG) for store in stores))
        assert sorted(claim.mine for claim in claims if claim is not None) == [False] * 7 + [True]
        assert {claim._replace(mine=False) for claim in claims if claim} == {Claim(mine=False)}

    opener.play(scenario)


def test_everybody_gets_the_outcome_of_the_one_exchange(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.claim("key", CODE, LONG, LONG)
        await store.finish("key", OUTCOME, LONG)
        for one in (store, opener.open()):
            assert await one.claim("key", CODE, LONG, LONG) == Claim(mine=False, outcome=OUTCOME)

    opener.play(scenario)


def test_another_code_than_the_first_is_no_ones(opener: Opener[SignInStore]) -> None:
    """Whoever got hold of a state cannot use it with a code of their own."""

    async def scenario() -> None:
        store = opener.open()
        assert await store.claim("key", CODE, 0.05, LONG) == Claim(mine=True)
        assert await store.claim("key", b"another", LONG, LONG) is None
        await asyncio.sleep(0.1)
        assert await store.claim("key", b"another", LONG, LONG) is None
        await store.finish("key", OUTCOME, LONG)
        assert await store.claim("key", b"another", LONG, LONG) is None

    opener.play(scenario)


def test_who_takes_too_long_is_overtaken(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.claim("key", CODE, 0.2, LONG)
        assert await store.claim("key", CODE, LONG, LONG) == Claim(mine=False)
        await asyncio.sleep(0.3)
        assert await store.claim("key", CODE, LONG, LONG) == Claim(mine=True)

    opener.play(scenario)


def test_what_was_given_back_may_be_tried_again(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.claim("key", CODE, LONG, LONG)
        await store.release("key")
        assert await store.claim("key", b"another", LONG, LONG) is None
        assert await store.claim("key", CODE, LONG, LONG) == Claim(mine=True)
        await store.release("unknown")

    opener.play(scenario)


def test_a_sign_in_is_spent_when_its_outcome_is_gone(opener: Opener[SignInStore]) -> None:
    """A state is good once, for as long as anybody could come back with it."""

    async def scenario() -> None:
        store = opener.open()
        await store.claim("key", CODE, LONG, LONG)
        await store.finish("key", OUTCOME, 0.1)
        await asyncio.sleep(0.2)
        assert await store.claim("key", CODE, LONG, LONG) == Claim(mine=False, spent=True)
        assert await store.claim("key", b"another", LONG, LONG) is None

    opener.play(scenario)


def test_a_sign_in_is_gone_when_its_time_is_over(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.claim("key", CODE, LONG, 0.1)
        await asyncio.sleep(0.2)
        assert await store.claim("key", b"another", LONG, LONG) == Claim(mine=True)

    opener.play(scenario)


def test_an_outcome_for_nobody_is_not_kept(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.finish("gone", OUTCOME, LONG)
        assert await store.claim("gone", CODE, LONG, LONG) == Claim(mine=True)

    opener.play(scenario)


def test_what_a_sign_in_brought_is_not_left_in_the_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = [1000.0]
        store = SqliteSignIns(tmp_path / "g.db", timeout=5, clock=lambda: clock[0])
        await store.claim("one", CODE, LONG, 600.0)
        await store.finish("one", OUTCOME, LONG)
        clock[0] += 61
        await store.claim("two", CODE, LONG, LONG)
        rows = await store._file.run(
            lambda database: database.execute("SELECT key, outcome FROM sign_ins").fetchall()
        )
        assert rows == [("one", None), ("two", None)]
        await store.close()

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_a_store_that_is_down() -> None:
    async def scenario() -> None:
        store = RedisSignIns("redis://127.0.0.1:1", timeout=1)
        with pytest.raises(StoreDown, match=r"store\.redis_url"):
            await store.claim("one", CODE, LONG, LONG)
        await store.close()

    asyncio.run(scenario())
