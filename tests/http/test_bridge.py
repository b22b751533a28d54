"""What is not a callback reaches the Litestar app over RSGI unchanged, and comes back unchanged."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Granian over RSGI, with the sample app behind the bridge."""
    with running("bridge", tmp_path_factory.mktemp("bridge")) as started:
        yield started


def test_the_app_s_lifespan_ran_before_the_first_request(server: Server) -> None:
    assert json.loads(server.ask("GET", "/health/ready")[2]) == ["started"]


@pytest.mark.parametrize("body", [b"", b"hello", "你好".encode(), b"x" * 200_000])
def test_a_request_s_parts_arrive(server: Server, body: bytes) -> None:
    status, headers, answer = server.ask("POST", "/echo?a=%20b&c=d", body, **{"x-sent": "yes"})
    assert status == 201
    assert headers["content-type"] == "application/json"
    assert json.loads(answer) == {
        "body": body.decode(),
        "query": "a=%20b&c=d",
        "header": "yes",
        "path": "/echo",
        "client": "127.0.0.1",
        "scheme": "http",
    }


def test_a_path_is_decoded(server: Server) -> None:
    assert server.ask("GET", "/path/a%20b/%E4%BD%A0")[2].decode() == "/a b/你"


def test_an_answer_in_parts_is_streamed(server: Server) -> None:
    status, headers, body = server.ask("GET", "/stream")
    assert status == 200
    assert headers["x-streamed"] == "yes"
    assert "content-length" not in headers
    assert body == b"part 0;part 1;part 2;part 3;part 4;"


def test_a_client_that_leaves_a_stream_harms_nobody(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(20)
    time.sleep(0.3)
    assert server.ask("GET", "/health/ready")[0] == 200
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/none", 404), ("POST", "/stream", 405), ("GET", "/fail", 500)],
)
def test_the_app_s_own_errors_come_back(
    server: Server, method: str, path: str, status: int
) -> None:
    got, _, body = server.ask(method, path, b"" if method == "POST" else None)
    assert got == status
    assert json.loads(body)["status_code"] == status
    assert b"SECRET" not in body


def test_the_app_s_lifespan_ends_with_the_server(tmp_path: Path) -> None:
    with running("bridge", tmp_path) as server:
        assert server.stop() == 0
        assert "lifespan ended" in server.log
