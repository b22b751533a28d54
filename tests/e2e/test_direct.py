"""Callbacks straight from Granian: that they are, and what becomes of bodies that do not come."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.simulator.sealing import make_callback
from tests.e2e.server import Server, running
from tests.support import fresh_text, make_sender, random_bytes

SAID = "callbacks come straight from Granian"


@pytest.fixture(scope="module", params=["rsgi", "rsgi-tasks"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A gateway that takes callbacks directly, and one that leaves them to Granian's tasks."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


def test_callbacks_come_directly_with_the_granian_that_is_pinned(server: Server) -> None:
    """Fails when a new Granian moves what is taken hold of: it would be silent and slow."""
    assert (SAID in server.log) is (server.kind == "rsgi")


def _head(size: int, path: str = "/wechat/main", method: str = "POST") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()


def _answer(connection: socket.socket) -> bytes:
    """Return the first line of what comes back."""
    connection.settimeout(10)
    return connection.recv(4096).partition(b"\r\n")[0]


def test_a_body_that_does_not_come_is_refused_and_counted_as_slow(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(_head(100) + b"<xml>")
        began = time.monotonic()
        assert b" 403 " in _answer(connection)
        assert time.monotonic() - began > 4
    until = time.monotonic() + 5
    while "account=main reason=slow" not in server.log and time.monotonic() < until:
        time.sleep(0.05)
    assert "account=main reason=slow" in server.log


def test_a_body_in_pieces_is_read_whole(server: Server) -> None:
    now = int(time.time())
    callback = make_callback(
        make_sender(), fresh_text("hi"), now=now, nonce="5", random=random_bytes()
    )
    head = _head(len(callback.body), f"/wechat/main?{callback.query}")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head)
        for start in range(0, len(callback.body), 100):
            time.sleep(0.01)
            connection.sendall(callback.body[start : start + 100])
        assert b" 200 " in _answer(connection)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/wechatmain", "POST", b" 404 "),
        ("/wechat/nobody", "POST", b" 404 "),
        ("/wechat", "POST", b" 404 "),
        ("/wechat/main", "PUT", b" 405 "),
    ],
)
def test_what_is_no_callback_of_an_account_has_its_status(
    server: Server, path: str, method: str, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(_head(5, path, method) + b"<xml>")
        assert status in _answer(connection)


@pytest.mark.parametrize("kind", ["rsgi", "rsgi-tasks"])
def test_many_that_go_away_while_their_bodies_are_read_harm_nobody(
    kind: str, tmp_path: Path
) -> None:
    """More than the server takes at once; and it ends when it is asked to, without being killed."""
    with running(kind, tmp_path) as server:
        for _ in range(1100):
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(_head(100) + b"<xml>")
        assert server.ask("GET", "/health/ready")[0] == 200
        assert server.ask("POST", "/wechat/main", b"<xml/>")[0] == 403
        assert server.stop() == 0
    assert "Killing" not in server.log
