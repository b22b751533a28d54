"""The servers of the end-to-end tests, each started once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.running import Command
from tests.e2e.server import Server, running


@pytest.fixture(scope="session", params=["rsgi", "rsgi-pure", "rsgi-tasks", "asgi", "uvicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A gateway, once per transport, and once with the pure kernels."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, which takes it a tenth of the time that a new one takes."""
    for name in [name for name in os.environ if name.upper().startswith("GATEWAY_")]:
        if name != "GATEWAY_NO_EXTENSIONS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    return Command(monkeypatch, capsys)


@pytest.fixture
def inbox(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """``gateway inbox``, where the test's gateway runs: what it prints."""

    def run(*arguments: str) -> str:
        ran = command("inbox", *arguments)
        assert ran.code == 0, ran.err
        return ran.out

    monkeypatch.chdir(tmp_path)
    return run
