"""What all tests share: both kernel implementations, the vectors, accounts."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from gateway.kernels import IMPLEMENTATION, NO_EXTENSIONS
from tests.services import (
    Database,
    GivenPostgres,
    GivenRedis,
    PostgresServer,
    RedisServer,
    fresh_schema,
    postgres_server,
    redis_server,
)
from tests.support import HAS_COMPILED, Kernels, use_kernels
from tests.traced import Traced

settings.register_profile("ci", max_examples=300, deadline=None)
settings.register_profile(
    "dev",
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_report_header() -> str:
    """Say which kernels the gateway itself picked."""
    return f"kernels: {IMPLEMENTATION}, NO_EXTENSIONS={NO_EXTENSIONS}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the compiled kernels where nothing could compile them, never in CI."""
    if HAS_COMPILED:
        return
    left_out = [item for item in items if item.get_closest_marker("compiled")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Take back what a command run in this process set up: its stream ends with its test."""
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)


@pytest.fixture(params=["pure", pytest.param("compiled", marks=pytest.mark.compiled)])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    """The kernels, once per implementation; the protocol uses the same for the test's time."""
    return use_kernels(monkeypatch, request.param)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Spans that are kept in memory, of this test alone."""
    made = Traced()
    made.use(monkeypatch)
    return made


@pytest.fixture(scope="session")
def redis_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RedisServer | GivenRedis]:
    """A Redis for the whole run."""
    given = os.environ.get("GATEWAY_TEST_REDIS_URL")
    if given:
        yield GivenRedis(given, int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))
        return
    with redis_server(tmp_path_factory.mktemp("redis"), appendonly="no") as server:
        yield server


@pytest.fixture
def redis(redis_process: RedisServer | GivenRedis) -> RedisServer | GivenRedis:
    """The Redis, with nothing in it."""
    with Redis.from_url(redis_process.url) as client:
        client.flushdb()
    return redis_process


@pytest.fixture(scope="session")
def postgres_process(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PostgresServer | GivenPostgres]:
    """A Postgres for the whole run."""
    given = os.environ.get("GATEWAY_TEST_POSTGRES_DSN")
    if given:
        yield GivenPostgres(given)
        return
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres(postgres_process: PostgresServer | GivenPostgres) -> Iterator[Database]:
    """A schema of the Postgres, with nothing in it."""
    with fresh_schema(postgres_process.dsn) as database:
        yield database
