"""Background handlers: acknowledged at once, handled by this process or another, never lost."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis import Redis

from gateway.cli.sending import fresh_callback
from gateway.simulator.platform import Outcome, Platform
from tests.e2e.server import ACCOUNTS, Server, running
from tests.e2e.test_replies import Setting
from tests.services import RedisServer
from tests.support import fresh_text, make_sender

ELSEWHERE = "\n[inbound]\nconcurrency = 0\nretry_base = 0.05\n"
HERE = "\n[inbound]\nmax_deliveries = 3\nretry_base = 0.05\n"


def _deliver(server: Server, *contents: str) -> list[Outcome]:
    async def deliver() -> list[Outcome]:
        async with aiohttp.ClientSession() as session:
            platform = Platform(session, make_sender(), f"{server.url}/wechat/main")
            return [
                await platform.deliver(partial(fresh_callback, make_sender(), fresh_text(content)))
                for content in contents
            ]

    return asyncio.run(deliver())


def _until(true: Callable[[], Any]) -> None:
    """Wait until it is so; fail where that takes too long."""
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until, "it did not come to this"
        time.sleep(0.05)


def test_it_is_answered_at_once_and_its_result_goes_out_later(tmp_path: Path) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + HERE) as server:
        setting = Setting([server], tmp_path, None)
        (outcome,) = _deliver(server, "later one")
        assert outcome.reply is not None
        assert outcome.reply["Content"] == "in a moment"
        _until(setting.customer_service)
        (sent,) = setting.customer_service()
        assert sent["text"]["content"] == "done one"
        assert setting.runs() == {"one": 1}


def test_what_fails_is_tried_again_then_a_dead_letter_that_a_person_retries(
    tmp_path: Path, inbox: Callable[..., str]
) -> None:
    with running("rsgi", tmp_path, ACCOUNTS + HERE) as server:
        setting = Setting([server], tmp_path, None)
        _deliver(server, "later flaky", "later poison")
        _until(setting.customer_service)
        _until(lambda: "background/" in inbox("dead-letters"))
        assert setting.runs() == {"flaky": 3, "poison": 3}
        letter = json.loads(inbox("dead-letters", "--json"))
        assert letter["reason"].startswith("failed: RuntimeError at ")
        assert (letter["type"], letter["tries"]) == ("Text", 3)
        assert "1 dead letters would be put back" in inbox("retry", "--all", "--dry-run")
        assert "1 dead letters put back" in inbox("retry", "--lane", "background")
        _until(lambda: setting.runs()["poison"] == 6)
        _until(lambda: "1 of 1" in inbox("dead-letters"))
        assert "1 dead letters discarded" in inbox("discard", "--all", "--yes")
        assert "dead letters: 0" in inbox("status")
        assert "SECRET" not in server.log


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_killed_workers_messages_are_handled_by_another(
    tmp_path: Path, store: str, redis_process: RedisServer
) -> None:
    """Kill -9 of the gateway behind its answer, and of a worker in the middle of its work."""
    settings, url = ACCOUNTS + ELSEWHERE, None
    if store == "redis":
        url = redis_process.url.removesuffix("/0") + "/6"
        with Redis.from_url(url) as client:
            client.flushdb()
        settings += f'\n[store]\nredis_url = "{url}"\n'
    with running("rsgi", tmp_path, settings) as server:
        setting = Setting([server], tmp_path, url)
        outcomes = _deliver(server, *(f"later slow{n}" for n in range(5)))
        assert all(outcome.reply is not None for outcome in outcomes)
        # The server itself leaves them alone: it has no consumers here.
        assert setting.runs() == {}
        server.kill()
    with running("worker", tmp_path, settings) as worker:
        _until(lambda: len(setting.runs()) == 5)
        _until(lambda: len(setting.customer_service()) == 5)
        assert worker.stop() == 0
    assert set(setting.runs()) == {f"slow{n}" for n in range(5)}
    assert "Traceback" not in worker.log
