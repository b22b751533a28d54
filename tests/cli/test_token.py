"""`gateway token` and `gateway simulate platform`, as a person uses them."""

import json
import os
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.cli.running import Command
from tests.services import Service, free_port

ACCOUNT: Final = """\
[accounts.{name}]
app_id = "wx{number:016}"
app_secret = "s3cr3t-of-{number}"
token = "sometoken"
mode = "plain"
api_url = "http://127.0.0.1:{port}"
"""

NUMBERS: Final = range(8)
"""The platform's accounts: two for each test that has some."""


class PlatformServer(Service):
    """WeChat's API, as ``gateway simulate platform`` serves it."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds its settings."""
        port = free_port()
        self.unused = count()
        """The numbers of the accounts that no test has."""
        accounts = (ACCOUNT.format(name=f"n{n}", number=n, port=port) for n in NUMBERS)
        (folder / "gateway.toml").write_text("".join(accounts))
        command = [sys.executable, "-m", "gateway", "simulate", "platform", "--port", str(port)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
        super().__init__(command, port, folder / "log", cwd=folder, env=environment)

    def answers(self) -> bool:
        """Tell whether it takes calls."""
        try:
            return "accounts" in self.get("/simulator/summary")
        except OSError:
            return False

    def terminate(self) -> int:
        """Ask it to end, as an orchestrator does, and wait; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON of a path."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def post(self, path: str, body: object) -> tuple[int, dict[str, object]]:
        """Return status and JSON of what it answers."""
        request = Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode())
        try:
            with urlopen(request, timeout=5) as answer:  # noqa: S310  # a URL of ours
                return answer.status, json.load(answer)
        except HTTPError as refused:
            return refused.code, json.load(refused)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformServer]:
    """A platform on a free port."""
    server = PlatformServer(tmp_path_factory.mktemp("platform"))
    try:
        server.start()
        yield server
        assert server.terminate() == 0
    finally:
        server.kill()


class Accounts(NamedTuple):
    """Two accounts that no other test has: ``main`` and ``bare``."""

    config: Path
    """The settings that have both."""
    app_id: str
    """Of ``main``."""
    secret: str
    bare_secret: str

    def without(self, text: str, instead: str = "") -> Path:
        """Return the settings with something else in the place of a text."""
        other = self.config.with_name("other.toml")
        other.write_text(self.config.read_text().replace(text, instead))
        return other


@pytest.fixture
def accounts(folder: Path, platform: PlatformServer) -> Accounts:
    """Settings of two accounts of the platform's, in a folder of their own."""
    config = folder / "gateway.toml"
    numbers = [next(platform.unused) for _ in range(2)]
    config.write_text(
        "".join(
            ACCOUNT.format(name=name, number=number, port=platform.port)
            for name, number in zip(("main", "bare"), numbers, strict=True)
        )
    )
    return Accounts(config, f"wx{numbers[0]:016}", *(f"s3cr3t-of-{number}" for number in numbers))


def test_tokens_are_fetched_shown_and_renewed_and_never_printed(
    accounts: Accounts, platform: PlatformServer, command: Command
) -> None:
    shown = command("token", "status")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.count("never") == 2
    got = command("token", "refresh", "--account", "main")
    assert re.fullmatch(r"main: a token that holds for 7,(200|1\d\d) s\n", got.out)
    again = command("token", "refresh")
    assert again.out.splitlines()[0].startswith("main: a token that holds for 7,")
    forced = command("token", "refresh", "--account", "main", "--force")
    assert forced.code == 0
    known = platform.get("/simulator/summary")["accounts"]
    assert known[accounts.app_id]["tokens_made"] == 2
    shown = command("token", "status", "--config", str(accounts.config))
    assert "7," in shown.out
    assert "s3cr3t" not in shown.out + got.out + forced.out


def test_a_wrong_secret_is_one_line_and_exit_status_1(accounts: Accounts, command: Command) -> None:
    wrong = accounts.without(accounts.secret, "not-the-s3cr3t")
    told = command("token", "refresh", "--account", "main", "--config", str(wrong))
    assert (told.code, told.out) == (1, "")
    (line,) = told.err.splitlines()
    assert line.startswith("gateway: /cgi-bin/stable_token: errcode 40125, ")
    assert "not-the-s3cr3t" not in line


def test_an_account_that_is_none_or_has_no_secret_is_told(
    accounts: Accounts, command: Command
) -> None:
    told = command("token", "refresh", "--account", "nobody")
    assert told.code == 2
    assert "main, bare" in told.err
    bare = str(accounts.without(f'app_secret = "{accounts.bare_secret}"\n'))
    told = command("token", "refresh", "--account", "bare", "--config", bare)
    assert told.code == 2
    assert "accounts.bare.app_secret: missing" in told.err
    assert "no app_secret" in command("token", "status", "--config", bare).out


@pytest.mark.usefixtures("accounts")
def test_what_the_platform_does_can_be_set_over_http(
    platform: PlatformServer, command: Command
) -> None:
    assert platform.post("/simulator/faults", {"busy": 1.0}) == (200, {})
    told = command("token", "refresh", "--account", "main")
    assert (told.code, "errcode -1" in told.err) == (1, True)
    assert platform.post("/simulator/faults", {}) == (200, {})
    user = "oUser000000000000000000000001"
    given = {"wrote": True, "consents": {"T1": 2}}
    assert platform.post(f"/simulator/users/{user}", given) == (200, {})
    template = {"id": "T1", "content": "{{thing1.DATA}}"}
    assert platform.post("/simulator/templates", template) == (200, {})
    assert platform.post("/simulator/tokens/kill", {}) == (200, {})
    assert platform.get(f"/simulator/ledger?openid={user}") == {"received": []}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/simulator/faults", {"bogus": 1}, "no such fault: bogus; there are: busy, "),
        ("/simulator/faults", {"busy": 2}, "<= 1"),
        ("/simulator/faults", {"latency": -1}, ">= 0"),
        ("/simulator/faults", [], "Expected `object`"),
        ("/simulator/users/nobody", {}, "no open id"),
        ("/simulator/users/oUser000000000000000000000001", {"follows": 1}, "follows"),
        ("/simulator/templates", {"title": "x"}, "`id`"),
    ],
)
def test_what_the_platform_does_not_understand_is_told_and_changes_nothing(
    platform: PlatformServer, path: str, body: object, told: str
) -> None:
    status, found = platform.post(path, body)
    assert status == 400
    assert told in str(found["error"])
