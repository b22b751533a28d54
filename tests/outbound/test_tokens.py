"""Tokens: how often WeChat is asked for one, against a platform with WeChat's own rules."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.redis_tokens import RedisTokens
from gateway.adapters.sqlite_tokens import SqliteTokens
from gateway.adapters.wechat_api import WeChatTransport
from gateway.errors import AccountRejected, NotSent, StoreDown, TokenUnavailable
from gateway.outbound.api import Retries, WeChatApi
from gateway.outbound.credentials import Credentials, PlainToken
from gateway.outbound.ports import StoredToken, TokenStore
from gateway.outbound.tokens import CLAIM_SECONDS, PAUSE_SECONDS, Tokens
from gateway.simulator.api.faults import ApiFault
from tests.outbound.desk import APP_ID, SECRET, USER, Desk, desk

STABLE = "/cgi-bin/stable_token"
Scenario = Callable[[Desk, WeChatTransport], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Run a scenario against a platform of its own."""

    async def run() -> None:
        async with desk() as one:
            transport = one.transport()
            try:
                await scenario(one, transport)
            finally:
                await transport.close()

    asyncio.run(run())


def test_many_calls_at_once_ask_for_one_token() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        api, _ = one.api(MemoryTokens(), transport)
        await asyncio.gather(*(api.call("GET", "/cgi-bin/getcallbackip") for _ in range(200)))
        assert one.account.tokens.made == 1
        assert one.server.calls[STABLE] == 1

    play(scenario)


def test_processes_share_one_token(tmp_path: Path) -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        stores = [SqliteTokens(tmp_path / "g.db", timeout=5) for _ in range(4)]
        got = await asyncio.gather(*(one.api(s, transport)[1].get() for s in stores))
        assert len({token.value for token in got}) == 1
        assert one.server.calls[STABLE] == 1
        for store in stores:
            await store.close()

    play(scenario)


def test_a_token_that_dies_is_replaced_once_and_no_call_fails(tmp_path: Path) -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        stores = [SqliteTokens(tmp_path / "g.db", timeout=5) for _ in range(3)]
        apis = [one.api(store, transport)[0] for store in stores]
        for _ in range(3):
            calls = [api.call("GET", "/cgi-bin/getcallbackip") for api in apis for _ in range(40)]
            await asyncio.gather(*calls)
            one.account.tokens.kill()
        # One for each death that a call saw; the last was seen by none.
        assert one.account.tokens.made == 3
        for store in stores:
            await store.close()

    play(scenario)


def test_the_next_token_is_fetched_before_the_old_one_ends_and_nobody_waits_for_it() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        _, tokens = one.api(MemoryTokens(), transport)
        first = await tokens.get()
        one.clock.offset += 7200 - 280
        assert await tokens.get() is first
        later = first
        for _ in range(200):
            if later is not first:
                break
            await asyncio.sleep(0.01)
            later = await tokens.get()
        assert later.value != first.value
        # Both hold while calls with the old one are under way.
        assert one.account.tokens.check(first.value) == 0
        assert one.account.tokens.made == 2

    play(scenario)


def test_a_token_that_ended_is_not_used() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        api, tokens = one.api(MemoryTokens(), transport)
        first = await tokens.get()
        one.clock.offset += 8000
        await api.call("GET", "/cgi-bin/getcallbackip")
        assert (await tokens.get()).value != first.value

    play(scenario)


def test_where_wechat_gives_the_dead_token_again_another_one_is_forced() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        api, tokens = one.api(MemoryTokens(), transport)
        first = await tokens.get()
        # Dead to the API, and still what stable_token gives: seen in traffic.
        one.account.tokens._killed.add(first.value)
        await api.call("GET", "/cgi-bin/getcallbackip")
        assert one.account.tokens.made == 2
        second = await tokens.get()
        one.account.tokens._killed.add(second.value)
        with pytest.raises(TokenUnavailable, match="every 30 seconds"):
            await api.call("GET", "/cgi-bin/getcallbackip")

    play(scenario)


def test_a_wrong_secret_is_asked_for_once_and_told_to_every_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        api, _ = one.api(MemoryTokens(), transport, secret="wrong-secret")
        for _ in range(3):
            with pytest.raises(AccountRejected, match="40125"):
                await api.call("GET", "/cgi-bin/getcallbackip")
        assert one.server.calls[STABLE] == 1
        one.clock.offset += PAUSE_SECONDS + 1
        with pytest.raises(AccountRejected):
            await api.call("GET", "/cgi-bin/getcallbackip")
        assert one.server.calls[STABLE] == 2

    with caplog.at_level(logging.DEBUG):
        play(scenario)
    assert "wrong-secret" not in caplog.text


class DownStore:
    """A store that does not answer, as long as it is told so."""

    def __init__(self, real: TokenStore) -> None:
        self.real = real
        self.down = True

    def __getattr__(self, name: str) -> object:
        async def call(*arguments: object) -> object:
            if self.down:
                raise StoreDown("the store is down; start it")
            return await getattr(self.real, name)(*arguments)

        return call


def test_while_the_store_is_down_a_stable_token_is_fetched_and_kept() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        store = DownStore(MemoryTokens())
        processes = [one.api(store, transport)[1] for _ in range(3)]  # type: ignore[arg-type]
        for _ in range(5):
            assert len({(await tokens.get()).value for tokens in processes}) == 1
        assert (one.account.tokens.made, one.server.calls[STABLE]) == (1, 3)
        # And it is replaced where it dies, without a store too.
        one.account.tokens.kill()
        for tokens in processes:
            await tokens.replace(await tokens.get())
        assert one.account.tokens.made == 2
        store.down = False
        one.account.tokens.kill()
        for tokens in processes:
            await tokens.replace(await tokens.get())
        assert one.account.tokens.made == 3

    play(scenario)


def test_while_the_store_is_down_no_plain_token_is_fetched_for_it_would_end_the_others() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        store = DownStore(MemoryTokens())
        source = PlainToken(WeChatApi(transport, None), Credentials(APP_ID, SECRET))
        tokens = Tokens(APP_ID, source, store, clock=one.clock)  # type: ignore[arg-type]
        with pytest.raises(TokenUnavailable, match="the store is down; start it"):
            await tokens.get()
        assert one.account.tokens.made == 0
        store.down = False
        one.clock.offset += PAUSE_SECONDS + 1
        first = await tokens.get()
        one.clock.offset += 7200 - 500
        for _ in range(200):
            if (await tokens.get()) is not first:
                break
            await asyncio.sleep(0.01)
        assert one.account.tokens.made == 2

    play(scenario)


def test_a_process_that_dies_in_a_refresh_holds_the_others_up_for_so_long_only() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        store = MemoryTokens(one.clock)
        await store.claim(APP_ID, 0, CLAIM_SECONDS)
        _, tokens = one.api(store, transport)
        waiting = asyncio.create_task(tokens.get())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        one.clock.offset += CLAIM_SECONDS
        assert isinstance(await waiting, StoredToken)

    play(scenario)


def test_an_api_that_is_gone_is_told_and_tried_again_later() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        gone = WeChatTransport("http://127.0.0.1:9", one.transport()._phases, connections=1)
        _, tokens = one.api(MemoryTokens(), gone)
        with pytest.raises(NotSent, match=r"api_url"):
            await tokens.get()
        await gone.close()
        await tokens.close()

    play(scenario)


def test_a_busy_platform_is_asked_again() -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        one.faults.rates = {ApiFault.BUSY: 0.5}
        api, _ = one.api(MemoryTokens(), transport)
        api._retries = Retries(tries=20, base=0.001, cap=0.001)
        for _ in range(30):
            await api.call("GET", "/cgi-bin/user/info", query={"openid": USER})

    play(scenario)


def test_redis_keeps_tokens_for_all_machines(redis: object) -> None:
    async def scenario(one: Desk, transport: WeChatTransport) -> None:
        url: str = redis.url  # type: ignore[attr-defined]
        stores = [RedisTokens(url, timeout=5) for _ in range(3)]
        for _ in range(3):
            apis = [one.api(store, transport)[0] for store in stores]
            calls = [api.call("GET", "/cgi-bin/getcallbackip") for api in apis for _ in range(30)]
            await asyncio.gather(*calls)
            one.account.tokens.kill()
        assert one.account.tokens.made == 3
        for store in stores:
            await store.close()

    play(scenario)
