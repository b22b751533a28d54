"""Tokens over processes: a platform, four processes that call it, and tokens that die at random."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from tests.outbound.desk import APP_ID, SECRET, Desk, desk
from tests.services import GivenRedis, RedisServer

PROCESSES = 4
CALLS = 200
DEATHS = 4

SETTINGS = """\
[accounts.main]
app_id = "{app_id}"
app_secret = "{secret}"
token = "sometoken"
mode = "plain"
api_url = "{url}"

[store]
{store}
"""


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the processes share tokens."""
    if request.param == "sqlite":
        return f'url = "sqlite:///{tmp_path / "gateway.db"}"'
    redis: RedisServer | GivenRedis = request.getfixturevalue("redis")
    return f'redis_url = "{redis.url}"'


def test_each_death_of_a_token_costs_one_refresh_over_all_processes_and_no_call(
    tmp_path: Path, store: str
) -> None:
    async def kill_some(one: Desk) -> None:
        chance = random.Random(3)  # noqa: S311  # the same deaths each time
        for _ in range(DEATHS):
            await asyncio.sleep(chance.uniform(0.5, 0.9))
            one.account.tokens.kill()

    async def scenario() -> tuple[list[str], int]:
        async with desk() as one:
            config = tmp_path / "gateway.toml"
            config.write_text(
                SETTINGS.format(app_id=APP_ID, secret=SECRET, url=one.url, store=store)
            )
            command = [sys.executable, "-m", "tests.e2e.caller", str(config), str(CALLS)]
            processes = [
                await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
                for _ in range(PROCESSES)
            ]
            # Until the first call, all of them start.
            while not one.server.calls:
                await asyncio.sleep(0.05)
            await kill_some(one)
            told = [(await process.communicate())[0].decode() for process in processes]
            return told, one.account.tokens.made

    told, made = asyncio.run(scenario())
    assert told == ["failed {}\n"] * PROCESSES
    assert made <= 1 + DEATHS
