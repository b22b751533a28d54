"""What is measured: anything that can be started, told to begin, and asked what it took."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from select import select
from tempfile import TemporaryFile
from typing import IO, Final, Protocol

import msgspec

from bench.load.cores import Cores, cpu_seconds, pinned, processes_of_group
from bench.load.generator import LoadError
from bench.push.order import Order
from bench.push.platform import environment
from bench.push.worker import WorkerSide, postgres_store, sqlite_store

_READY_SECONDS: Final = 60.0

WECHATPY: Final = "wechatpy"
TRANSPORT: Final = "gateway-transport"


class Sender(Protocol):
    """A side that is started and warm."""

    def begin(self) -> None:
        """Send the order's messages, without waiting for it."""

    def cpu(self) -> float:
        """Return the CPU seconds that all its processes on the sender's core took so far."""

    def ended(self) -> Counter[str] | None:
        """Return how many sends failed, by kind, once all are over; None before, or if unknown."""


class Side(Protocol):
    """One row of the table."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def title(self) -> str:
        """What it is called in the table."""

    @property
    def setup(self) -> str:
        """How it is run, in words."""

    @property
    def share(self) -> float:
        """Which share of the messages it is given: what is slow would take too long."""

    @property
    def is_judged(self) -> bool:
        """Whether the goal is its."""

    def in_flight(self, latency: float) -> int:
        """Return how many messages it has under way at a latency, in seconds."""

    def start(self, order: Order, cores: Cores) -> AbstractContextManager[Sender]:
        """Start it on the generator's core, a store of its own on the server's, and warm it up.

        The order's warm-up has arrived when the block begins, and nothing else. What stores its
        messages has stored them then, or stores them once told to begin: its setup says which.
        """

    def lacks(self) -> str | None:
        """Return the package that it needs and does not find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSide:
    """A client in a process of its own, which stores nothing."""

    name: str
    title: str
    setup: str
    client: str
    needs: tuple[str, ...] = ()
    share: float = 1.0
    lanes: int = 64
    """Messages under way where there is no latency."""
    more_lanes: int = 1024
    """Where there is one."""
    is_judged: bool = False

    def in_flight(self, latency: float) -> int:
        """Return how many messages it has under way."""
        return self.more_lanes if latency else self.lanes

    def lacks(self) -> str | None:
        """Return the package that it needs and does not find."""
        return next((one for one in self.needs if find_spec(one) is None), None)

    @contextmanager
    def start(self, order: Order, cores: Cores) -> Iterator[Sender]:
        """Start it."""
        command = [sys.executable, "-m", "bench.push.sender", self.client]
        with TemporaryFile() as errors, pinned(cores.generator):
            process = subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )
            try:
                client = Client(process, errors)
                client.tell(msgspec.json.encode(order))
                client.wait_for_ready(self.name)
                yield client
            finally:
                process.kill()
                process.communicate()


class Client:
    """The process of a client: a Sender."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._in, self._out = process.stdin, process.stdout
        self._errors = errors

    def tell(self, line: bytes) -> None:
        """Give it a line."""
        self._in.write(line + b"\n")
        self._in.flush()

    def wait_for_ready(self, name: str) -> None:
        """Wait until it is warm; raise LoadError with what it said where that fails."""
        if not select([self._out], [], [], _READY_SECONDS)[0] or self._out.readline() != b"ready\n":
            self._errors.seek(0)
            raise LoadError(f"{name} did not start:\n{self._errors.read().decode()[-2000:]}")

    def begin(self) -> None:
        """Let it send."""
        self.tell(b"go")

    def cpu(self) -> float:
        """Return the CPU seconds that it took."""
        return cpu_seconds(processes_of_group(self.process.pid)) or 0.0

    def ended(self) -> Counter[str] | None:
        """Return what it says of its errors, once it is through."""
        if not select([self._out], [], [], 0)[0]:
            return None
        line = self._out.readline()
        return Counter(json.loads(line)) if line else Counter({"gone": 1})


def _client(name: str, title: str, setup: str, **more: object) -> ClientSide:
    side = ClientSide(name=name, title=title, setup=setup, client=name)
    return replace(side, **more)  # type: ignore[arg-type]  # its own fields, by name


SIDES: Final[Mapping[str, Side]] = {
    side.name: side
    for side in (
        _client(
            WECHATPY,
            "wechatpy, 64 threads",
            "its sync client on requests, one connection kept for each thread; stores nothing",
            needs=("wechatpy", "requests"),
            share=0.1,
            more_lanes=64,
        ),
        _client(
            TRANSPORT,
            "gateway, its API client alone",
            "WeChatApi.post from tasks on uvloop; stores nothing: the dispatcher's ceiling",
            client="gateway",
        ),
        WorkerSide(
            name="gateway-sqlite",
            title="gateway worker, SQLite",
            setup="its jobs in a file, each claimed and settled there, in batches",
            store=sqlite_store,
        ),
        WorkerSide(
            name="gateway-postgres",
            title="gateway worker, Postgres",
            setup="its jobs in Postgres, which shares the platform's core; waits for the disk",
            store=postgres_store,
            # Each claim and each settlement waits for the disk: more have to be under way.
            lanes=1024,
            more_lanes=2048,
        ),
        _client("aiohttp", "aiohttp", "one session on uvloop, its URL made once"),
        _client(
            "httpx",
            "httpx",
            "one AsyncClient on uvloop; 8 in flight, for its pool is slower the more there are",
            needs=("httpx",),
            share=0.1,
            lanes=8,
            more_lanes=64,
        ),
        _client(
            "pyreqwest",
            "pyreqwest",
            "one Client on uvloop, its Rust threads on the same core",
            needs=("pyreqwest",),
        ),
    )
}
"""All of them. A dispatcher's side brings its store with it, and is judged."""
