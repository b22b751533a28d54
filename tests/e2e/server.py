"""Real servers on free ports: started, waited for, asked, and stopped by their process id."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.services import free_port
from tests.support import ACCOUNT_ID, AES_KEY, APP_ID, TOKEN

ROOT: Final = Path(__file__).parents[2]

ACCOUNTS: Final = f"""
[accounts.main]
app_id = "{APP_ID}"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"

[accounts.compat]
app_id = "{APP_ID}"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"
mode = "compat"

[accounts.plain]
app_id = "{APP_ID}"
token = "{TOKEN}"
mode = "plain"

[accounts.pinned]
app_id = "{APP_ID}"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"
original_id = "{ACCOUNT_ID}"
"""

READY: Final = "/health/ready"

COMMANDS: Final = {
    "rsgi": ["-m", "gateway", "serve", "tests.e2e.bot:bot", "--port", "{port}"],
    "rsgi-tasks": ["-m", "gateway", "serve", "tests.e2e.bot:bot", "--port", "{port}"],
    "rsgi-pure": ["-m", "gateway", "serve", "tests.e2e.bot:bot", "--port", "{port}"],
    "named": [
        *("-m", "gateway", "serve", "tests.e2e.bot:bot", "--port", "{port}", "--host", "localhost")
    ],
    "workers": [
        *("-m", "gateway", "serve", "tests.e2e.bot:bot", "--port", "{port}", "--workers", "2")
    ],
    "empty": ["-m", "gateway", "serve", "tests.e2e.bot:empty", "--port", "{port}"],
    "shop": ["-m", "gateway", "serve", "shop:bot", "--port", "{port}"],
    "migrate": ["-m", "gateway", "migrate"],
    "worker": ["-m", "gateway", "worker", "tests.e2e.bot:bot"],
    "shop-worker": ["-m", "gateway", "worker", "shop:bot"],
    "asgi": [
        *("-m", "granian", "--interface", "asgi", "--factory", "--port", "{port}"),
        "gateway.app:create_app_from_environment",
    ],
    "bridge": ["-m", "granian", "--interface", "rsgi", "--port", "{port}", "tests.http.sample:app"],
    "uvicorn": [
        *("-m", "uvicorn", "--factory", "--port", "{port}", "--no-access-log"),
        "gateway.app:create_app_from_environment",
    ],
}
"""How each kind of server is started; the same app answers in all of them."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()

    def kill(self) -> None:
        """End it and its workers by SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, and wait; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


def start(
    kind: str,
    folder: Path,
    settings: str = ACCOUNTS,
    port: int = 0,
    log_format: str = "console",
) -> Server:
    """Start a server with these settings, on a free port unless one is given; do not wait."""
    port = port or free_port()
    config = folder / "gateway.toml"
    config.write_text(settings, encoding="utf-8")
    log_file = folder / f"{kind}-{port}.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")} | {
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_BOT": "tests.e2e.bot:bot",
        "GATEWAY_SERVER__LOG_FORMAT": log_format,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if kind == "rsgi-pure" or os.environ.get("GATEWAY_NO_EXTENSIONS"):
        environment["GATEWAY_NO_EXTENSIONS"] = "1"
    if kind == "rsgi-tasks":
        environment["GATEWAY_SERVER__DIRECT"] = "false"
    command = [sys.executable, *(part.format(port=port) for part in COMMANDS[kind])]
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Server(kind, port, process, log_file)


@contextmanager
def running(
    kind: str,
    folder: Path,
    settings: str = ACCOUNTS,
    log_format: str = "console",
    *,
    port: int = 0,
    ready: str = READY,
) -> Iterator[Server]:
    """Run a server with these settings; end it, whatever happens."""
    server = start(kind, folder, settings, port, log_format)
    try:
        wait_until_ready(server, ready)
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(timeout=20)
        server.kill()


def wait_until_ready(server: Server, path: str = READY) -> None:
    """Wait until it takes callbacks, or entries; fail where it ends instead."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended at start:\n{server.log}")
        if _is_ready(server, path):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server was not ready within 30 s:\n{server.log}")


def _is_ready(server: Server, path: str) -> bool:
    if server.kind.endswith("worker"):
        return "worker ready" in server.log
    try:
        return server.ask("GET", path)[0] == 200
    except OSError:
        return False
