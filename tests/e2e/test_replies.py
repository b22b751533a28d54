"""One message, one visible reply: at WeChat's own pace of 5 seconds and 3 tries.

A reply is visible where it comes back with a delivery that WeChat still waits for, or where it goes
out as a customer-service message.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from redis import Redis

from gateway.adapters.redis import _unpack
from gateway.cli.sending import fresh_callback
from gateway.simulator.platform import Outcome, Platform
from gateway.simulator.sealing import Callback
from tests.e2e.server import ACCOUNTS, Server, running
from tests.services import RedisServer, wait_until
from tests.support import fresh_text, make_sender

HANDLERS: Final = ("1", "6", "12", "16")
"""Seconds that the handlers take; the last one longer than WeChat's tries."""

STORES: Final = ("two workers, SQLite", "two machines, Redis")


class Setting:
    """Some gateways over the same store, and what can be seen of them."""

    def __init__(
        self, servers: list[Server], folder: Path, redis_url: str | None, name: str = ""
    ) -> None:
        self.name = name
        self.servers = servers
        self._folder = folder
        self._redis_url = redis_url

    def runs(self) -> Counter[str]:
        """Return how often each handler ran."""
        log = self._folder / "runs.log"
        return Counter(log.read_text(encoding="utf-8").split() if log.exists() else [])

    def customer_service(self) -> list[dict[str, Any]]:
        """Return the customer-service messages that wait to be sent."""
        return [msgspec.json.decode(body) for body in self._bodies()]

    def _bodies(self) -> list[bytes]:
        if self._redis_url is None:
            with sqlite3.connect(self._folder / "var" / "gateway.db") as database:
                found = database.execute(
                    "SELECT body FROM entries WHERE lane = 'customer_service'"
                ).fetchall()
            return [row[0] for row in found]
        with Redis.from_url(self._redis_url) as client:
            entries: Any = client.xrange("{gateway}:lane:customer_service")
        return [_unpack(fields[b"e"])[2] for _, fields in entries]


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, redis_process: RedisServer
) -> Iterator[dict[str, Setting]]:
    """Gateways that share a store: a retry may come to any of their processes."""
    url = redis_process.url.removesuffix("/0") + "/5"
    with Redis.from_url(url) as client:
        client.flushdb()
    redis = f'\n[store]\nredis_url = "{url}"\n'
    given = (["workers"], "", None), (["rsgi", "rsgi"], redis, url)
    made = {}
    with ExitStack() as stack:
        for name, (kinds, store, redis_url) in zip(STORES, given, strict=True):
            folder = tmp_path_factory.mktemp("replies")
            servers = [
                stack.enter_context(running(kind, folder, ACCOUNTS + store)) for kind in kinds
            ]
            made[name] = Setting(servers, folder, redis_url, name)
        yield made


@pytest.fixture(params=STORES)
def setting(request: pytest.FixtureRequest, settings: dict[str, Setting]) -> Setting:
    """Each of them."""
    return settings[request.param]


async def _deliver(setting: Setting, content: str, sender_id: str) -> Outcome:
    """Deliver a message, each try to the next gateway, on a connection of its own."""
    document, sender = fresh_text(content, FromUserName=sender_id), make_sender()

    tries = 0

    def make() -> Callback:
        nonlocal tries
        tries += 1
        platform._url = setting.servers[tries % len(setting.servers)].url + "/wechat/main"
        return fresh_callback(sender, document)

    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        platform = Platform(session, sender, "")
        return await platform.deliver(make)


USERS: Final = {
    f"o{seconds}x{n}": (seconds, f"h{seconds}x{n}") for seconds in HANDLERS for n in "ab"
}
"""For each user the seconds and the name of their handler."""


@pytest.fixture(scope="module")
def outcomes(settings: dict[str, Setting]) -> dict[str, dict[str, Outcome]]:
    """What became of a message of each user, by their gateways: to all at once, for it takes long.

    Returns when the longest handlers have ended, behind the answer to their last delivery.
    """

    async def deliver_all(setting: Setting) -> dict[str, Outcome]:
        delivered = await asyncio.gather(
            *(
                _deliver(setting, f"sleep {seconds} {name}", user)
                for user, (seconds, name) in USERS.items()
            )
        )
        return dict(zip(USERS, delivered, strict=True))

    async def deliver() -> dict[str, dict[str, Outcome]]:
        delivered = await asyncio.gather(*(deliver_all(each) for each in settings.values()))
        # Of handlers that take 16 seconds, 14.5 are over.
        await asyncio.sleep(3.5)
        return dict(zip(settings, delivered, strict=True))

    return asyncio.run(deliver())


def test_whatever_a_handler_takes_it_runs_once_and_its_user_sees_one_reply(
    setting: Setting, outcomes: dict[str, dict[str, Outcome]]
) -> None:
    late = Counter(message["touser"] for message in setting.customer_service())
    for user, (seconds, name) in USERS.items():
        outcome = outcomes[setting.name][user]
        assert outcome.complaint == "", (user, outcome)
        assert setting.runs()[name] == 1, user
        assert (outcome.reply is not None) + late[user] == 1, (user, outcome)
        assert len(outcome.attempts) == {"1": 1, "6": 2, "12": 3, "16": 3}[seconds]
        if outcome.reply is not None:
            assert outcome.reply["Content"] == f"slept {seconds}"
    assert {user for user in late if USERS[user][0] == "16"} == {"o16xa", "o16xb"}


def test_a_duplicate_gets_the_same_bytes_from_any_process(setting: Setting) -> None:
    callback = fresh_callback(make_sender(), fresh_text("same bytes"))
    bodies = set()
    for n in range(12):
        server = setting.servers[n % len(setting.servers)]
        status, _, body = server.ask("POST", f"/wechat/main?{callback.query}", callback.body)
        assert status == 200
        bodies.add(body)
    assert len(bodies) == 1


def test_many_deliveries_at_once_run_the_handler_once(setting: Setting) -> None:
    document = fresh_text("sleep 0.5 crowd")

    async def crowd() -> list[bytes]:
        async with aiohttp.ClientSession() as session:

            async def one(n: int) -> bytes:
                callback = fresh_callback(make_sender(), document)
                url = setting.servers[n % len(setting.servers)].url
                url = f"{url}/wechat/main?{callback.query}"
                async with session.post(url, data=callback.body) as answer:
                    assert answer.status == 200
                    return await answer.read()

            return await asyncio.gather(*(one(n) for n in range(30)))

    assert len(set(asyncio.run(crowd()))) == 1
    assert setting.runs()["crowd"] == 1


@pytest.mark.parametrize(("policy", "late"), [("customer_service", 1), ("success", 0)], ids=str)
def test_a_late_reply_goes_by_the_policy(tmp_path: Path, policy: str, late: int) -> None:
    settings = f'{ACCOUNTS}\n[inbound]\nreply_deadline = 0.5\nlate_reply = "{policy}"\n'
    with running("rsgi", tmp_path, settings) as server:
        setting = Setting([server], tmp_path, None)
        outcome = asyncio.run(_deliver(setting, "sleep 1 slow", "oLate"))
        assert outcome.reply is None
        assert outcome.complaint == ""
        assert len(outcome.attempts) == 1
        asyncio.run(asyncio.sleep(1))
        wait_until(lambda: len(setting.customer_service()) == late, "what became of the reply")
        assert setting.runs()["slow"] == 1
