"""The servers and the proxy that tests are run with do what tests rely on."""

import asyncio
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.proxy import TcpProxy
from tests.services import Database, PostgresServer, fresh_schema, postgres_server, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path_factory.mktemp("own")) as own:
        yield own


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


@contextmanager
def echo() -> Iterator[int]:
    """Run an echo server; give its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Return what comes back."""
    connection.sendall(data)
    return connection.recv(65_536)


def test_redis_keeps_what_it_confirmed_when_it_is_killed(tmp_path: Path) -> None:
    with redis_server(tmp_path) as own, Redis.from_url(own.url, socket_timeout=5) as client:
        client.set("key", "value")
        first = own.pid
        own.kill()
        with pytest.raises(RedisConnectionError):
            client.get("key")
        own.start()
        assert own.pid != first
        assert client.get("key") == b"value"


def test_a_paused_redis_hangs_until_it_goes_on(tmp_path: Path) -> None:
    with redis_server(tmp_path) as own, Redis.from_url(own.url, socket_timeout=0.2) as client:
        client.ping()
        own.pause()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        own.resume()
        assert client.ping()


def test_postgres_keeps_what_it_confirmed_when_it_is_killed(server: PostgresServer) -> None:
    database = Database(server.dsn)
    database.run("CREATE TABLE kept AS SELECT 1 AS n")
    first = server.pid
    server.kill()
    with pytest.raises(OSError, match="Connect call failed"):
        database.run("SELECT")
    server.start()
    assert server.pid != first
    assert [row["n"] for row in database.run("SELECT n FROM kept")] == [1]
    server.stop()
    server.start()
    assert [row["n"] for row in database.run("SELECT n FROM kept")] == [1]


def test_a_paused_postgres_hangs_until_it_goes_on(server: PostgresServer) -> None:
    async def scenario() -> None:
        connection = await asyncpg.connect(server.dsn)
        server.pause()
        asking = asyncio.create_task(connection.fetchval("SELECT 1"))
        assert await asyncio.wait([asking], timeout=0.2) == (set(), {asking})
        server.resume()
        assert await asking == 1
        await connection.close()

    asyncio.run(scenario())


def test_postgres_waits_for_the_disk(server: PostgresServer) -> None:
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert Database(server.dsn).run(f"SHOW {name}")[0][0] == "on"


def test_a_schema_is_empty_and_gone_afterwards(server: PostgresServer) -> None:
    for _ in range(2):
        with fresh_schema(server.dsn) as database:
            database.run("CREATE TABLE mine AS SELECT 1")
    assert Database(server.dsn).run("SELECT FROM pg_class WHERE relname = 'mine'") == []


def test_a_proxy_passes_on_what_comes_in_both_directions() -> None:
    with echo() as port, TcpProxy(port) as proxy:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
                assert ask(client, b"hello") == b"hello"
                assert ask(client, b"again") == b"again"


def test_a_proxy_that_is_cut_closes_and_refuses_connections_until_it_is_mended() -> None:
    with echo() as port, TcpProxy(port) as proxy:
        address = ("127.0.0.1", proxy.port)
        with socket.create_connection(address, timeout=10) as client:
            assert ask(client, b"hello") == b"hello"
            proxy.cut()
            assert client.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)
        proxy.mend()
        with socket.create_connection(address, timeout=10) as client:
            assert ask(client, b"hello") == b"hello"


def test_a_stalled_proxy_takes_all_and_passes_nothing_on_until_it_is_mended() -> None:
    with echo() as port, TcpProxy(port) as proxy:
        proxy.stall()
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as client:
            with pytest.raises(TimeoutError):
                ask(client, b"hello")
            proxy.mend()
            client.settimeout(10)
            assert client.recv(100) == b"hello"


def test_a_truncating_proxy_closes_after_so_many_bytes_of_the_answer() -> None:
    with echo() as port, TcpProxy(port) as proxy:
        address = ("127.0.0.1", proxy.port)
        with socket.create_connection(address, timeout=10) as client:
            assert ask(client, b"hello") == b"hello"
            proxy.truncate(3)
            assert ask(client, b"hello") == b"hel"
            assert client.recv(100) == b""
        with socket.create_connection(address, timeout=10) as client:
            assert ask(client, b"another") == b"ano"


def test_what_was_asked_through_a_truncating_proxy_is_done(tmp_path: Path) -> None:
    with redis_server(tmp_path) as own, TcpProxy(own.port) as proxy:
        proxy.truncate(0)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            assert ask(client, b"INCR counter\r\n") == b""
        with Redis.from_url(own.url) as client:
            assert client.get("counter") == b"1"


def test_a_delaying_proxy_changes_nothing_but_the_time() -> None:
    with echo() as port, TcpProxy(port) as proxy:
        proxy.delay(0.02)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            client.settimeout(0.02)
            with pytest.raises(TimeoutError):
                ask(client, b"hello")
            client.settimeout(10)
            assert client.recv(100) == b"hello"
