"""Redis in particular: what others have tripped over with streams and scripts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from gateway.adapters import redis as adapter
from gateway.adapters.redis import RedisStore
from gateway.errors import SettingsError, StoreDown
from gateway.inbound.claims import Ack, Claim, Finish, Retry
from tests.contracts.stores import ENTRY, A, B, put, step
from tests.proxy import TcpProxy
from tests.services import RedisServer, redis_server

STREAM = "{gateway}:lane:background"


def play(url: str, scenario: Callable[[RedisStore], Awaitable[Any]], timeout: float = 5) -> Any:
    """Run a scenario with a store."""

    async def run() -> Any:
        store = RedisStore(url, keep=60, timeout=timeout)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_what_was_acknowledged_or_put_back_does_not_stay_in_the_stream(
    redis: RedisServer,
) -> None:
    """XACK alone deletes nothing: a stream grew by 761,008 entries that way, somewhere."""

    async def scenario(store: RedisStore) -> None:
        with Redis.from_url(redis.url) as client:
            for number in range(20):
                await put(store, ENTRY, key=b"%d" % number)
            taken = await store.take("background", A, 20)
            await store.commit([Ack("background", one.id) for one in taken[:10]])
            assert client.xlen(STREAM) == 10
            await store.commit([Retry("background", one.id, 60, 1) for one in taken[10:]])
            assert client.xlen(STREAM) == 0
            assert client.xpending(STREAM, "gateway")["pending"] == 0

    play(redis.url, scenario)


def test_a_server_that_forgot_everything_is_used_again_without_a_restart(
    redis: RedisServer,
) -> None:
    """NOGROUP and NOSCRIPT after a restart without persistence left others in limbo."""

    async def scenario(store: RedisStore) -> None:
        await put(store, ENTRY)
        await store.take("background", A, 9)
        with Redis.from_url(redis.url) as client:
            client.flushdb()
            client.script_flush()
        assert await store.take("background", A, 9) == []
        await put(store, ENTRY, key=b"new")
        (taken,) = await store.take("background", A, 9)
        assert (await step(store, Ack("background", taken.id))).state == 2

    play(redis.url, scenario)


def test_a_group_that_was_destroyed_is_made_again_and_misses_nothing(redis: RedisServer) -> None:
    async def scenario(store: RedisStore) -> None:
        await put(store, ENTRY)
        await store.take("background", A, 9)
        with Redis.from_url(redis.url) as client:
            client.xgroup_destroy(STREAM, "gateway")
        assert len(await store.take("background", B, 9)) == 1

    play(redis.url, scenario)


def test_entries_that_are_reclaimed_come_all_of_them_however_many(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One XAUTOCLAIM looks at ten times as many as it returns, and may return none."""
    monkeypatch.setattr(adapter, "ENTRY_LEASE_SECONDS", 0.1)

    async def scenario(store: RedisStore) -> None:
        for number in range(300):
            await put(store, ENTRY._replace(body=b"%d" % number), key=b"%d" % number)
        first = await store.take("background", A, 300)
        # The first 250 are still held by one that lives: those due come behind them.
        await asyncio.sleep(0.15)
        monkeypatch.setattr(adapter, "ENTRY_LEASE_SECONDS", 30)
        with Redis.from_url(redis.url) as client:
            ids = [one.id for one in first[:250]]
            client.xclaim(STREAM, "gateway", "alive", 0, ids, justid=True)
        monkeypatch.setattr(adapter, "ENTRY_LEASE_SECONDS", 0.1)
        taken = await store.take("background", B, 10)
        assert len(taken) == 10
        assert {one.deliveries for one in taken} == {2}

    play(redis.url, scenario)


def test_consumers_that_are_gone_are_forgotten_and_those_that_hold_something_are_not(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every restart leaves a name in the group."""
    monkeypatch.setattr(adapter, "ABSENT_SECONDS", 0.1)

    async def scenario(store: RedisStore) -> None:
        def known() -> set[bytes]:
            with Redis.from_url(redis.url) as client:
                return {one["name"] for one in client.xinfo_consumers(STREAM, "gateway")}

        await put(store, ENTRY, key=b"done")
        (done,) = await store.take("background", B, 1)
        await store.commit([Ack("background", done.id)])
        await put(store, ENTRY, key=b"held")
        await store.take("background", A, 1)
        assert known() == {A, B}
        await asyncio.sleep(0.15)
        await store.take("background", b"another", 1)
        assert known() == {A}

    play(redis.url, scenario)


def test_an_entry_deleted_behind_its_consumers_back_troubles_nobody(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ENTRY_LEASE_SECONDS", 0.05)

    async def scenario(store: RedisStore) -> None:
        await put(store, ENTRY)
        await put(store, ENTRY, key=b"other")
        first, _ = await store.take("background", A, 9)
        with Redis.from_url(redis.url) as client:
            client.xdel(STREAM, first.id)
        await asyncio.sleep(0.1)
        assert len(await store.take("background", B, 9)) == 1

    play(redis.url, scenario)


def test_a_redis_killed_and_restarted_has_what_it_confirmed(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:

        async def scenario(store: RedisStore) -> None:
            await put(store, ENTRY)
            await store.commit([Claim(b"done", A), Finish(b"done", A, b"reply")])
            server.kill()
            with pytest.raises(StoreDown):
                await step(store, Claim(b"done", B))
            with pytest.raises(StoreDown):
                await store.take("background", B, 9)
            with pytest.raises(StoreDown):
                await store.ping()
            with pytest.raises(StoreDown):
                await store.lanes()
            server.start()
            assert (await step(store, Claim(b"done", B))).reply == b"reply"
            assert len(await store.take("background", B, 9)) == 1

        play(server.url, scenario)


@pytest.mark.parametrize("fault", ["stall", "cut", "truncate"])
def test_a_redis_that_does_not_answer_is_down_within_the_timeout(
    redis: RedisServer, fault: str
) -> None:
    port = int(redis.url.rpartition(":")[2].partition("/")[0])
    with TcpProxy(port) as proxy:

        async def scenario(store: RedisStore) -> None:
            await put(store, ENTRY)
            getattr(proxy, fault)(*([3] if fault == "truncate" else []))
            async with asyncio.timeout(5):
                with pytest.raises(StoreDown, match=r"is the server of store\.redis_url up"):
                    await step(store, Claim(b"k", A))
            proxy.mend()
            # No answer of before is taken for the one of now.
            assert (await step(store, Claim(b"other", A))).attempt == 1
            assert (await step(store, Claim(b"other", B))).attempt == 2

        play(redis.url.replace(str(port), str(proxy.port)), scenario, timeout=0.5)


def test_a_full_redis_is_down_and_loses_nothing(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, Redis.from_url(server.url) as client:

        async def scenario(store: RedisStore) -> None:
            await put(store, ENTRY)
            client.config_set("maxmemory", "1")
            with pytest.raises(StoreDown, match="OOM"):
                await put(store, ENTRY, key=b"new")
            client.config_set("maxmemory", "0")
            assert len(await store.take("background", A, 9)) == 1

        play(server.url, scenario)


@pytest.mark.parametrize("rest", ["?colour=red", "?db=x", "?socket_timeout=soon"])
def test_what_the_client_does_not_understand_is_the_settings_fault(rest: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        RedisStore(f"redis://:s3cr3t@localhost/0{rest}", keep=60, timeout=1)
    assert str(wrong.value).startswith("store.redis_url: the Redis client cannot read it")
    assert "s3cr3t" not in str(wrong.value)


def test_the_password_stands_in_no_error() -> None:
    async def scenario(store: RedisStore) -> str:
        with pytest.raises(StoreDown) as down:
            await store.ping()
        return str(down.value)

    assert "hunter2" not in play("redis://:hunter2@127.0.0.1:1", scenario)
