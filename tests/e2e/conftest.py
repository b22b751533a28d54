"""The servers of the end-to-end tests, each started once."""

from collections.abc import Iterator

import pytest

from tests.e2e.server import Server, running


@pytest.fixture(scope="session", params=["rsgi", "rsgi-pure", "rsgi-tasks", "asgi", "uvicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A gateway, once per transport, and once with the pure kernels."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started
