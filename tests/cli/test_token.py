"""`gateway token` and `gateway simulate platform`, as a person uses them."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.services import free_port

SETTINGS = """\
[accounts.main]
app_id = "wx1234567890abcdef"
app_secret = "s3cr3t-of-the-app"
token = "sometoken"
mode = "plain"
api_url = "http://127.0.0.1:{port}"

[accounts.bare]
app_id = "wx0000000000000000"
app_secret = "an0ther-s3cr3t"
token = "sometoken"
mode = "plain"
api_url = "http://127.0.0.1:{port}"

[store]
url = "sqlite:///{folder}/gateway.db"
"""


def gateway(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """Settings whose API is a platform on a free port."""
    port = free_port()
    file = tmp_path / "gateway.toml"
    file.write_text(SETTINGS.format(port=port, folder=tmp_path))
    command = [sys.executable, "-m", "gateway", "simulate", "platform"]
    with subprocess.Popen([*command, "--config", str(file), "--port", str(port)]) as process:
        until = time.monotonic() + 20
        while True:
            try:
                summary(port)
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield file
        process.terminate()
        assert process.wait(20) == 0


def summary(port: int) -> dict[str, object]:
    """Return what the platform tells of itself."""
    with urlopen(f"http://127.0.0.1:{port}/simulator/summary", timeout=5) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def port_of(config: Path) -> int:
    """Return the platform's port."""
    return int(config.read_text().partition("127.0.0.1:")[2].partition('"')[0])


def test_tokens_are_fetched_shown_and_renewed_and_never_printed(config: Path) -> None:
    shown = gateway("token", "status", "--config", str(config))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.count("never") == 2
    got = gateway("token", "refresh", "--account", "main", "--config", str(config))
    assert re.fullmatch(r"main: a token that holds for 7,(200|1\d\d) s\n", got.stdout)
    again = gateway("token", "refresh", "--config", str(config))
    assert again.stdout.splitlines()[0].startswith("main: a token that holds for 7,")
    forced = gateway("token", "refresh", "--account", "main", "--force", "--config", str(config))
    assert forced.returncode == 0
    accounts = summary(port_of(config))["accounts"]
    assert isinstance(accounts, dict)
    assert accounts["wx1234567890abcdef"]["tokens_made"] == 2
    shown = gateway("token", "status", "--config", str(config))
    assert "7," in shown.stdout
    assert "s3cr3t" not in shown.stdout + got.stdout + forced.stdout


def test_a_wrong_secret_is_one_line_and_exit_status_1(config: Path) -> None:
    wrong = config.read_text().replace("s3cr3t-of-the-app", "not-the-s3cr3t")
    other = config.with_name("wrong.toml")
    other.write_text(wrong)
    told = gateway("token", "refresh", "--account", "main", "--config", str(other))
    assert (told.returncode, told.stdout) == (1, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith("gateway: /cgi-bin/stable_token: errcode 40125, ")
    assert "not-the-s3cr3t" not in line


def test_an_account_that_is_none_or_has_no_secret_is_told(config: Path) -> None:
    told = gateway("token", "refresh", "--account", "nobody", "--config", str(config))
    assert told.returncode == 2
    assert "main, bare" in told.stderr
    bare = config.with_name("bare.toml")
    bare.write_text(config.read_text().replace('app_secret = "an0ther-s3cr3t"\n', ""))
    told = gateway("token", "refresh", "--account", "bare", "--config", str(bare))
    assert told.returncode == 2
    assert "accounts.bare.app_secret: missing" in told.stderr
    assert "no app_secret" in gateway("token", "status", "--config", str(bare)).stdout


def post(port: int, path: str, body: object) -> tuple[int, dict[str, object]]:
    """Return status and JSON of what the platform answers."""
    request = Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode())
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310  # a URL of ours
            return answer.status, json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def test_what_the_platform_does_can_be_set_over_http(config: Path) -> None:
    port = port_of(config)
    assert post(port, "/simulator/faults", {"busy": 1.0}) == (200, {})
    told = gateway("token", "refresh", "--account", "main", "--config", str(config))
    assert (told.returncode, "errcode -1" in told.stderr) == (1, True)
    assert post(port, "/simulator/faults", {}) == (200, {})
    user = "oUser000000000000000000000001"
    given = {"wrote": True, "consents": {"T1": 2}}
    assert post(port, f"/simulator/users/{user}", given) == (200, {})
    template = {"id": "T1", "content": "{{thing1.DATA}}"}
    assert post(port, "/simulator/templates", template) == (200, {})
    assert post(port, "/simulator/tokens/kill", {}) == (200, {})
    with urlopen(f"http://127.0.0.1:{port}/simulator/ledger?openid={user}", timeout=5) as ledger:
        assert json.load(ledger) == {"received": []}


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
    config: Path, path: str, body: object, told: str
) -> None:
    status, found = post(port_of(config), path, body)
    assert status == 400
    assert told in str(found["error"])
