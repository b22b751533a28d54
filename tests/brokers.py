"""Real brokers on free ports of this machine: started, cut off, made to hang, and stopped."""

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import confluent_kafka
from aiohttp import web

from tests.services import Service, free_port, redis_server

_DEBIAN_RABBITMQ: Final = "/usr/lib/rabbitmq/bin"
"""Where Debian keeps the server's own script; the one on the path runs for root only."""


class Broker(Protocol):
    """A broker whose troubles a test decides."""

    url: str

    def start(self) -> None:
        """Be there again, where it was."""

    def kill(self) -> None:
        """Be gone, all connections too."""

    def pause(self) -> None:
        """Take connections and requests, and answer none."""

    def resume(self) -> None:
        """Answer again."""


class BrokerProcess(Service):
    """A broker in a process group of its own, so that its children share its fate."""

    def __init__(
        self,
        url: str,
        command: list[str],
        port: int,
        log: Path,
        *,
        greeting: bytes = b"",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """``greeting`` is what it must be told before it says anything."""
        super().__init__(
            command,
            port,
            log,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.url = url
        self._greeting = greeting

    def answers(self) -> bool:
        """Tell whether it says anything."""
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection,
        ):
            connection.sendall(self._greeting)
            return bool(connection.recv(1))
        return False

    def pause(self) -> None:
        """Let all of it hang."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all of it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def _end(self, how: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self.pid, how)
        super()._end(how)


@contextmanager
def redis_broker(folder: Path) -> Iterator[Broker]:
    """Run Redis, which keeps nothing over a restart."""
    with redis_server(folder, appendonly="no") as server:
        yield server


@contextmanager
def nats_broker(folder: Path) -> Iterator[Broker]:
    """Run NATS with JetStream, which keeps its streams in the folder."""
    port = free_port()
    program = str(Path(sys.executable).with_name("nats-server"))
    command = [program, "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(port)]
    yield from _run(BrokerProcess(f"nats://127.0.0.1:{port}", command, port, folder / "nats.log"))


@contextmanager
def rabbitmq_broker(folder: Path) -> Iterator[Broker]:
    """Run RabbitMQ, as whichever user this is, apart from any other of this machine."""
    places = f"{_DEBIAN_RABBITMQ}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which("rabbitmq-server", path=places)
    if program is None:
        raise RuntimeError(
            "RabbitMQ is not installed, and tests need it: apt-get install rabbitmq-server"
        )
    port, names_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        # Erlang keeps its cookie there.
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names_port),
        "RABBITMQ_NODENAME": "test@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        # None of these is there: no plugins, and nothing of the machine's own configuration.
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
    }
    # Erlang's name server: left to itself, RabbitMQ starts one that outlives it.
    names = subprocess.Popen(
        ["epmd", "-port", str(names_port), "-address", "127.0.0.1"], env=environment
    )
    broker = BrokerProcess(
        f"amqp://guest:guest@127.0.0.1:{port}/",
        [program],
        port,
        folder / "rabbitmq.log",
        # A wrong version: RabbitMQ answers with its own, and hangs up.
        greeting=b"AMQP\0\0\0\0",
        environment=environment,
    )
    try:
        yield from _run(broker)
    finally:
        names.terminate()
        names.wait()


class KafkaCluster:
    """The cluster of one broker that librdkafka has built in for tests, reached over TCP."""

    url = ""

    def __init__(self) -> None:
        (library,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/*kafka*")
        self._library = ctypes.CDLL(str(library))
        self._library.rd_kafka_new.restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        error = ctypes.create_string_buffer(512)
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(0, None, error, len(error)))
        assert self._handle.value, error.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, 1))
        self.url = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic with one replica."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def refuse_topic(self, name: str) -> None:
        """Say of a topic that it is not there; others are created when they are asked for."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), 3)

    def refuse_producers(self) -> None:
        """Say to the next producer that it may not be idempotent, which ends it for good."""
        init_producer_id, cluster_authorization_failed = 22, ctypes.c_int(31)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, init_producer_id, 1, ctypes.byref(cluster_authorization_failed)
        )

    def kill(self) -> None:
        """Refuse connections."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def start(self) -> None:
        """Take connections again."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def pause(self) -> None:
        """Keep every answer back for a minute."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, 60_000)

    def resume(self) -> None:
        """Answer again."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, 0)

    def stop(self) -> None:
        """End it."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


@contextmanager
def kafka_broker(_: Path) -> Iterator[KafkaCluster]:
    """Run librdkafka's own cluster."""
    cluster = KafkaCluster()
    try:
        yield cluster
    finally:
        cluster.stop()


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Upstream:
    """An HTTP endpoint that keeps what it is sent."""

    port: int
    answer: Answer | None = None
    """How it answers; with 204 if not given."""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers, in lower case, and bodies of the POSTs."""
    max_bytes: int = 1 << 20
    _runner: web.AppRunner | None = None
    _answers: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/events"

    async def come_back(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=self.max_bytes)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._answers.set()
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def cut_off(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def hang(self) -> None:
        """Answer nothing."""
        self._answers.clear()

    async def go_on(self) -> None:
        """Answer again."""
        self._answers.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._answers.wait()
        if request.method == "POST":
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.received.append((headers, body))
        return web.Response(status=204) if self.answer is None else await self.answer(request)


@asynccontextmanager
async def http_upstream(answer: Answer | None = None, **settings: Any) -> AsyncIterator[Upstream]:
    """Run an HTTP endpoint in this event loop."""
    upstream = Upstream(free_port(), answer, **settings)
    await upstream.come_back()
    try:
        yield upstream
    finally:
        await upstream.cut_off()


def _run(broker: BrokerProcess) -> Iterator[BrokerProcess]:
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
