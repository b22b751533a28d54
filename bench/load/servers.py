"""The measured servers: what each is, how it is started, waited for and ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Literal, Self

from bench.load.account import APP_ID, ENCODING_AES_KEY, READY_PATH, TOKEN
from bench.load.cores import cpu_seconds, pinned, processes_of_group
from bench.load.generator import HOST, LoadError
from tests.services import free_port, redis_server

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_TIMEOUT: Final = 20.0
_END_TIMEOUT: Final = 5.0
_POLL: Final = 0.02
_STDERR_LINES: Final = 30

FLASK_THREADS: Final = 8
"""gthread parks idle keep-alive connections in a poller and needs no thread for each; tried with
1, 8, 16 and 64 threads at 64 connections, it is fastest with 8."""

Command = Callable[[int, Path], list[str]]
"""Makes the arguments after `python`, from a port and a directory for files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server of the comparison."""

    name: str
    title: str
    setup: str
    """How it is run, in words."""
    command: Command
    needs: tuple[str, ...]
    """Modules without which it cannot start."""
    environment: dict[str, str] = field(default_factory=dict)
    answers: Literal["echo", "instant", "success"] = "echo"
    settings: str = ""
    """Of a gateway, beside the account's."""
    redis: bool = False
    """Whether it needs a Redis, which is started with it."""
    dedupes: bool = False
    """Whether it answers a callback that it knows without handling it."""


def _gateway(bot: str) -> Command:
    # What the `gateway` script does, without asking where it is installed.
    run = "from gateway.cli import main; main()"

    def command(port: int, directory: Path) -> list[str]:
        return [
            *("-c", run, "serve", f"bench.load.bots:{bot}"),
            *("--config", str(directory / "gateway.toml")),
            *("--host", HOST, "--port", str(port), "--workers", "1"),
        ]

    return command


def _uvicorn(port: int, _directory: Path) -> list[str]:
    return [
        *("-m", "uvicorn", "bench.load.apps_fastapi:app", "--host", HOST),
        *("--port", str(port), "--workers", "1", "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def _gunicorn(port: int, _directory: Path) -> list[str]:
    return [
        *("-m", "gunicorn", "bench.load.apps_flask:app", "--bind", f"{HOST}:{port}"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", str(FLASK_THREADS)),
        *("--keep-alive", "60", "--log-level", "warning"),
    ]


_AS_BATCH: Final = (
    "import os, runpy, sys; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); "
    "sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
"""Runs a module as `python -m` does, scheduled as the gateway schedules itself."""


def _as_batch(command: Command) -> Command:
    def batch(port: int, directory: Path) -> list[str]:
        _, module, *arguments = command(port, directory)
        return ["-c", _AS_BATCH, module, *arguments]

    return batch


def _granian(interface: Literal["rsgi", "asgi"]) -> Command:
    def command(port: int, _directory: Path) -> list[str]:
        return [
            *("-m", "granian", f"bench.load.apps_granian:{interface}", "--interface", interface),
            *("--host", HOST, "--port", str(port), "--workers", "1"),
            *("--loop", "uvloop", "--http", "1", "--no-ws", "--log-level", "error"),
        ]

    return command


GATEWAY: Final = "gateway"
FASTAPI: Final = "wechatpy-fastapi"
CEILING: Final = "granian-rsgi"

_MEMORY: Final = '[store]\nurl = "memory://"\n'
_REDIS: Final = '[store]\nredis_url = "{redis}"\n'
_ONLY_TAKEN_IN: Final = "[inbound]\nconcurrency = 0\n"


def _own(name: str, title: str, setup: str, bot: str, settings: str, **more: Any) -> Row:
    """Return a row of this gateway."""
    return Row(
        name=name,
        title=title,
        setup=setup,
        command=_gateway(bot),
        needs=("gateway.cli",),
        settings=settings,
        redis="{redis}" in settings,
        dedupes=True,
        **more,
    )


ROWS: Final = {
    row.name: row
    for row in (
        _own(
            GATEWAY,
            "this gateway",
            "compiled kernels, 1 worker, log level warning; dedupe in the process, nothing durable",
            "echo",
            _MEMORY,
        ),
        _own(
            "gateway-pure",
            "this gateway, pure Python",
            "GATEWAY_NO_EXTENSIONS=1, else the same",
            "echo",
            _MEMORY,
            environment={"GATEWAY_NO_EXTENSIONS": "1"},
        ),
        _own(
            "gateway-tasks",
            "this gateway, a task each",
            "server.direct = false: Granian makes a task of each callback; else as the first",
            "echo",
            _MEMORY,
            environment={"GATEWAY_SERVER__DIRECT": "false"},
        ),
        _own(
            "gateway-normal",
            "this gateway, not batch",
            'server.scheduling = "normal": its threads interrupt each other; else as the first',
            "echo",
            _MEMORY,
            environment={"GATEWAY_SERVER__SCHEDULING": "normal"},
        ),
        _own(
            "gateway-sqlite",
            "this gateway, SQLite",
            "dedupe in its default SQLite file, which survives a kill",
            "echo",
            "",
        ),
        _own(
            "gateway-redis",
            "this gateway, Redis",
            "dedupe in a Redis with appendfsync everysec, counted as part of the generator",
            "echo",
            _REDIS,
        ),
        _own(
            "background-sqlite",
            "background, SQLite",
            "each message synced to disk before an instant text answers it; taken in, not handled",
            "background",
            _ONLY_TAKEN_IN,
            answers="instant",
        ),
        _own(
            "background-redis",
            "background, Redis",
            "each message in a stream of that Redis before an instant text answers it; the same",
            "background",
            _REDIS + _ONLY_TAKEN_IN,
            answers="instant",
        ),
        Row(
            name=FASTAPI,
            title="wechatpy on FastAPI",
            setup="uvicorn with uvloop and httptools, 1 worker, access log off",
            command=_uvicorn,
            needs=("wechatpy", "cryptography", "fastapi", "uvicorn", "uvloop", "httptools"),
        ),
        Row(
            name="wechatpy-fastapi-batch",
            title="wechatpy on FastAPI, batch",
            setup="the same under SCHED_BATCH, as the gateway runs",
            command=_as_batch(_uvicorn),
            needs=("wechatpy", "cryptography", "fastapi", "uvicorn", "uvloop", "httptools"),
        ),
        Row(
            name="wechatpy-flask",
            title="wechatpy on Flask",
            setup=f"gunicorn, 1 gthread worker, {FLASK_THREADS} threads (its best), no access log",
            command=_gunicorn,
            needs=("wechatpy", "cryptography", "flask", "gunicorn"),
        ),
        Row(
            name=CEILING,
            title="Granian alone, RSGI",
            setup="reads the body, answers `success`; uvloop, 1 worker: the ceiling",
            command=_granian("rsgi"),
            needs=("granian", "uvloop"),
            answers="success",
        ),
        Row(
            name="granian-rsgi-batch",
            title="Granian alone, RSGI, batch",
            setup="the same under SCHED_BATCH, as the gateway runs",
            command=_as_batch(_granian("rsgi")),
            needs=("granian", "uvloop"),
            answers="success",
        ),
        Row(
            name="granian-asgi",
            title="Granian alone, ASGI",
            setup="the same over ASGI",
            command=_granian("asgi"),
            needs=("granian", "uvloop"),
            answers="success",
        ),
    )
}


def check_installed(rows: list[Row]) -> None:
    """Raise LoadError, in one line, where a row lacks a package or its compiled kernels."""
    for row in rows:
        for module in row.needs:
            if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
                raise LoadError(f"{row.name} needs {module}: pip install {module}")
    if any(row.name == GATEWAY for row in rows):
        _check_compiled()


def _check_compiled() -> None:
    ask = "from gateway.kernels import IMPLEMENTATION; print(IMPLEMENTATION)"
    told = subprocess.run(
        [sys.executable, "-c", ask],
        env=_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_TIMEOUT,
    )
    if told.stdout.strip() != "compiled":
        what = told.stderr.strip().rpartition("\n")[2] or "they are not built"
        raise LoadError(f"{GATEWAY} needs the compiled kernels: {what} (or leave it out: --only)")


def _config(timestamp_window: int, settings: str) -> str:
    """Return the settings of a measured gateway; the window is in seconds."""
    return f"""\
[server]
log_level = "warning"

[accounts.main]
app_id = "{APP_ID}"
token = "{TOKEN}"
encoding_aes_key = "{ENCODING_AES_KEY}"
mode = "safe"
timestamp_window = {timestamp_window}

{settings}"""


def _environment(added: dict[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of the gateway that may stand in it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().startswith("GATEWAY_")
    }
    path = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path} | added


class Server:
    """A started server, ready for callbacks within the ``with`` block and ended after it."""

    def __init__(self, row: Row, core: int | None, timestamp_window: int) -> None:
        self._row = row
        self._core = core
        self._timestamp_window = timestamp_window
        self._store: list[int] = []
        """The process of the store, which runs on the generator's core."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # A folder of its own: no store that knows the callbacks, and no .env of the checkout.
            self._directory = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-bench-")))
            self._stderr = self._directory / "stderr"
            settings = self._row.settings
            if self._row.redis:
                redis = redis_server(self._directory / "redis", appendonly="everysec")
                store = stack.enter_context(redis)
                self._store = [store.pid]
                settings = settings.replace("{redis}", store.url)
            config = _config(self._timestamp_window, settings)
            (self._directory / "gateway.toml").write_text(config, encoding="utf-8")
            self._start()
            self._stack = stack.pop_all()
        return self

    def _start(self) -> None:
        self.port = free_port()
        command = [sys.executable, *self._row.command(self.port, self._directory)]
        with self._stderr.open("wb") as output, pinned(self._core):
            # Its own process group: its workers are found by it, and ^C is left to the runner.
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=_environment(self._row.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._stack.close()

    @property
    def pid(self) -> int:
        """Its first process, whose group all of them are in."""
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Where it runs, with its settings in gateway.toml."""
        return self._directory

    def cpu_clock(self) -> Callable[[], float | None]:
        """Make a clock of the CPU seconds all its present processes have taken."""
        processes = processes_of_group(self._process.pid)
        return lambda: cpu_seconds(processes)

    def store_clock(self) -> Callable[[], float | None]:
        """Make a clock of the CPU seconds that the store beside it has taken."""
        return lambda: cpu_seconds(self._store)

    def said(self) -> str:
        """Return the last lines it wrote."""
        lines = self._stderr.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_STDERR_LINES:])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                code = self._process.returncode
                raise LoadError(f"{self._row.name} did not start (exit {code}):\n{self.said()}")
            if _is_ready(self.port):
                return
            time.sleep(_POLL)
        raise LoadError(
            f"{self._row.name} was not ready after {_START_TIMEOUT:.0f} s:\n{self.said()}"
        )

    def _end(self) -> None:
        processes = processes_of_group(self._process.pid)
        self._process.terminate()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Workers whose parent was killed, or went without them.
        left = set(processes) & set(processes_of_group(self._process.pid))
        for process in left - {self._process.pid}:
            _kill(process)


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
