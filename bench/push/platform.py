"""The simulated platform in a process of its own: started on a core, set up, its ledger read."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

from bench.load.cores import cpu_seconds, pinned
from bench.load.generator import HOST, LoadError
from bench.push.order import APP_ID, PATH, SECRET, TEMPLATE_ID, TEMPLATE_TEXT
from tests.services import free_port

ROOT: Final = Path(__file__).resolve().parents[2]

_START_SECONDS: Final = 30.0
_POLL: Final = 0.05
_PLENTY: Final = 1_000_000_000

_STORE: Final = """\
[store]
url = "memory://"
"""


def name_of(number: int) -> str:
    """Return an account's name."""
    return "main" if number == 0 else f"a{number:04}"


def app_id(number: int) -> str:
    """Return an account's app id."""
    return APP_ID if number == 0 else f"wx{number:016}"


def account_settings(number: int, url: str | None = None) -> str:
    """Return the settings of an account."""
    more = "" if url is None else f'api_url = "{url}"\n'
    return (
        f'[accounts.{name_of(number)}]\napp_id = "{app_id(number)}"\napp_secret = "{SECRET}"\n'
        f'token = "sometoken"\nmode = "plain"\n{more}\n'
    )


class Received(NamedTuple):
    """What the ledger says."""

    all: int
    distinct: int
    """By user and client_msg_id."""
    duplicates: int


class SimulatedPlatform:
    """One that runs."""

    def __init__(self, url: str, process: int) -> None:
        self.url = url
        self._process = process

    def set_up(self, latency: float) -> None:
        """Give it the template, no quota that matters, and a latency in seconds."""
        self._post("templates", {"id": TEMPLATE_ID, "content": TEMPLATE_TEXT})
        self._post("quotas", {PATH: {"daily": _PLENTY}})
        self._post("faults", {"latency": latency})

    def use_up(self, number: int) -> None:
        """Let an account have no call left today."""
        self._post(f"quotas?appid={app_id(number)}", {PATH: {"daily": 0}})

    def token(self) -> str:
        """Return an access token that holds."""
        asked = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}
        told = self._ask("/cgi-bin/stable_token", asked)
        return str(told["access_token"])

    def received(self) -> Received:
        """Return what users received so far."""
        one = self._ask("/simulator/summary")["accounts"][APP_ID]
        return Received(one["received"], one["distinct"], one["duplicates"])

    def times(self) -> dict[str, float]:
        """Return when each message was received, Unix seconds, by its client_msg_id."""
        told = self._ask("/simulator/ledger")["received"]
        return {one["client_msg_id"]: one["at"] for one in told}

    def cpu(self) -> float:
        """Return the CPU seconds that it took so far."""
        return cpu_seconds([self._process]) or 0.0

    def _post(self, what: str, body: object) -> None:
        self._ask(f"/simulator/{what}", body)

    def _ask(self, path: str, body: object = None) -> dict[str, Any]:
        raw = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        with urlopen(Request(self.url + path, raw), timeout=10) as answer:  # noqa: S310  # ours
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def simulated_platform(core: int | None, accounts: int = 1) -> Iterator[SimulatedPlatform]:
    """Run one on a core, with an empty ledger; raise LoadError where it does not start."""
    port = free_port()
    with TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        settings = _STORE + "".join(account_settings(number) for number in range(accounts))
        (folder / "gateway.toml").write_text(settings, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "gateway", "simulate", "platform", "--no-receipts"),
            *("--config", str(folder / "gateway.toml"), "--host", HOST, "--port", str(port)),
        ]
        output = folder / "output"
        with output.open("wb") as out, pinned(core):
            process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdout=out, stderr=out, process_group=0
            )
        try:
            platform = SimulatedPlatform(f"http://{HOST}:{port}", process.pid)
            _wait(platform, process, output)
            yield platform
        finally:
            process.terminate()
            process.wait()


def environment() -> dict[str, str]:
    """Return this process's environment without settings of the gateway that may stand in it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().startswith("GATEWAY_")
    }
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path}


def _wait(platform: SimulatedPlatform, process: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            platform.received()
        except (URLError, ConnectionError):
            time.sleep(_POLL)
        else:
            return
    raise LoadError(f"the platform did not start:\n{output.read_text(errors='replace')}")
