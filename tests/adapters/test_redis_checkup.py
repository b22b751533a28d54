"""What doctor says of a Redis: does it keep what it is given?"""

import asyncio
from collections.abc import Iterator

import pytest
from redis import Redis

from gateway.adapters.redis_checkup import examine
from gateway.inbound.ports import Finding
from tests.services import RedisServer, free_port, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis whose settings may be changed."""
    with redis_server(tmp_path_factory.mktemp("redis")) as started:
        yield started


def _found(server: RedisServer, **settings: str) -> dict[str, Finding]:
    with Redis.from_url(server.url) as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)
    return {finding.what: finding for finding in asyncio.run(examine(server.url, within=5))}


def test_one_that_syncs_always_and_never_evicts_is_well(server: RedisServer) -> None:
    found = _found(server, appendonly="yes", appendfsync="always", maxmemory_policy="noeviction")
    assert {finding.fix for finding in found.values()} == {""}
    assert found["redis durability"].state == "appendfsync always: a crash loses nothing"


def test_what_a_crash_could_lose_is_told_of_each_setting(server: RedisServer) -> None:
    everysec = _found(server, appendonly="yes", appendfsync="everysec")["redis durability"]
    assert "about the last second" in everysec.state
    assert everysec.fix == ""
    never = _found(server, appendfsync="no")["redis durability"]
    assert "30 seconds" in never.state
    assert never.fix
    off = _found(server, appendonly="no")["redis durability"]
    assert "since the last snapshot" in off.state
    assert "appendonly yes" in off.fix


@pytest.mark.parametrize(
    ("policy", "loses"),
    [("allkeys-lru", "throws away messages"), ("volatile-ttl", "they are again")],
)
def test_one_that_forgets_when_it_is_full_is_a_problem(
    server: RedisServer, policy: str, loses: str
) -> None:
    found = _found(server, maxmemory="100mb", maxmemory_policy=policy)["redis eviction"]
    assert loses in found.state
    assert found.fix == "CONFIG SET maxmemory-policy noeviction"
    assert not _found(server, maxmemory="0")["redis eviction"].fix


def test_one_that_does_not_tell_its_settings_is_a_problem(server: RedisServer) -> None:
    """As managed ones are."""
    with Redis.from_url(server.url) as client:
        client.acl_setuser(
            "app", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-config"]
        )
    url = server.url.replace("redis://", "redis://app:pw@")
    found = asyncio.run(examine(url, within=5))
    assert found[-1].state == "it does not tell its settings"
    assert "noeviction" in found[-1].fix


def test_one_that_is_not_there_is_a_problem_that_names_no_password() -> None:
    (found,) = asyncio.run(examine(f"redis://:hunter2@127.0.0.1:{free_port()}", within=1))
    assert "not reachable" in found.state
    assert "hunter2" not in str(found)
