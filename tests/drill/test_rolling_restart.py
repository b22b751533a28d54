"""A rolling restart under load: no callback fails."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.drill.load import Load
from tests.e2e.server import ACCOUNTS, Server, start, wait_until_ready
from tests.services import redis_server


@pytest.mark.timeout(120)
def test_one_gateway_after_the_other_restarts_and_no_callback_fails(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as redis:
        settings = f'{ACCOUNTS}\n[store]\nredis_url = "{redis.url}"\n'
        gateways = [start("rsgi", tmp_path, settings) for _ in range(2)]
        try:
            for gateway in gateways:
                wait_until_ready(gateway)
            load = asyncio.run(_restart_each(gateways, tmp_path, settings))
        finally:
            for gateway in gateways:
                gateway.kill()
    assert len(load.sent) == 12 * 80
    for one in load.sent:
        assert one.outcome is not None
        answered = [attempt.status for attempt in one.outcome.attempts if attempt.status]
        # A connection that a stopping gateway refuses is the proxy's to send elsewhere.
        assert answered == [200], one.story()
        assert one.outcome.attempts[-1].seconds < 5
        assert one.outcome.complaint == ""


async def _restart_each(gateways: list[Server], folder: Path, settings: str) -> Load:
    load = Load(80, Random(1), lambda: _urls(gateways), {"inline": 70, "later": 30})

    async def restart() -> None:
        for index, old in enumerate(list(gateways)):
            await asyncio.sleep(2)
            assert await asyncio.to_thread(old.stop) == 0
            gateways[index] = start("rsgi", folder, settings, old.port)
            await asyncio.to_thread(wait_until_ready, gateways[index])

    await asyncio.gather(load.run(12), restart())
    return load


def _urls(gateways: list[Server]) -> list[str]:
    living = sorted(gateways, key=lambda gateway: gateway.process.poll() is not None)
    return [f"{gateway.url}/wechat/main" for gateway in living]
