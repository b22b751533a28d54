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

BEGUN: Final = b'{"redirect":"https://shop.example/\xe5\xa5\xbd"}\x00'
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


def test_a_sign_in_is_known_from_its_beginning_on(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        assert await store.read("key") is None
        assert await store.claim("key", CODE, LONG) is None
        await store.begin("key", BEGUN, LONG)
        await opener.open().begin("key", b"another", LONG)
        assert await opener.open().read("key") == BEGUN

    opener.play(scenario)


def test_one_process_at_a_time_may_exchange_the_code(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        await opener.open().begin("key", BEGUN, LONG)
        stores = [opener.open() for _ in range(8)]
        claims = await asyncio.gather(*(store.claim("key", CODE, LONG) for store in stores))
        assert all(claim is not None and claim.sign_in == BEGUN for claim in claims)
        assert sum(claim is not None and claim.mine for claim in claims) == 1

    opener.play(scenario)


def test_everybody_gets_the_outcome_of_the_one_exchange(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.begin("key", BEGUN, LONG)
        await store.claim("key", CODE, LONG)
        await store.finish("key", b"done", LONG)
        for one in (store, opener.open()):
            assert await one.claim("key", CODE, LONG) == Claim(BEGUN, mine=False, outcome=b"done")

    opener.play(scenario)


def test_another_code_than_the_first_is_no_ones(opener: Opener[SignInStore]) -> None:
    """Whoever got hold of a state cannot use it with a code of their own."""

    async def scenario() -> None:
        store = opener.open()
        await store.begin("key", BEGUN, LONG)
        assert await store.claim("key", CODE, 0.05) == Claim(BEGUN, mine=True, outcome=None)
        assert await store.claim("key", b"another", LONG) is None
        await asyncio.sleep(0.1)
        assert await store.claim("key", b"another", LONG) is None
        await store.finish("key", b"done", LONG)
        assert await store.claim("key", b"another", LONG) is None

    opener.play(scenario)


def test_who_takes_too_long_is_overtaken(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.begin("key", BEGUN, LONG)
        await store.claim("key", CODE, 0.2)
        assert await store.claim("key", CODE, LONG) == Claim(BEGUN, mine=False, outcome=None)
        await asyncio.sleep(0.3)
        assert await store.claim("key", CODE, LONG) == Claim(BEGUN, mine=True, outcome=None)

    opener.play(scenario)


def test_what_was_given_back_may_be_tried_again(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.begin("key", BEGUN, LONG)
        await store.claim("key", CODE, LONG)
        await store.release("key")
        assert await store.claim("key", CODE, LONG) == Claim(BEGUN, mine=True, outcome=None)
        await store.release("unknown")

    opener.play(scenario)


def test_a_sign_in_is_gone_when_its_time_is_over(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.begin("short", BEGUN, 0.1)
        await store.begin("done", BEGUN, LONG)
        await store.claim("done", CODE, LONG)
        await store.finish("done", b"done", 0.1)
        await asyncio.sleep(0.2)
        assert await store.read("short") is None
        assert await store.claim("short", CODE, LONG) is None
        assert await store.claim("done", CODE, LONG) is None
        await store.begin("short", b"new", LONG)
        assert await store.read("short") == b"new"

    opener.play(scenario)


def test_an_outcome_for_nobody_is_not_kept(opener: Opener[SignInStore]) -> None:
    async def scenario() -> None:
        store = opener.open()
        await store.finish("gone", b"done", LONG)
        assert await store.read("gone") is None
        assert await store.claim("gone", CODE, LONG) is None

    opener.play(scenario)


def test_a_redis_that_is_away_is_a_store_that_is_down() -> None:
    async def scenario() -> None:
        store = RedisSignIns("redis://127.0.0.1:1", timeout=1)
        with pytest.raises(StoreDown, match=r"store\.redis_url"):
            await store.read("one")
        await store.close()

    asyncio.run(scenario())
