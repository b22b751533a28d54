"""Requests on the wire: what is written, what is read, and what a failure leaves open."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.adapters.wechat_api import MAX_ANSWER, Phases, WeChatTransport
from gateway.errors import NotSent, Unanswered
from gateway.outbound.ports import ApiRequest, ApiResponse
from tests.services import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 2\r\n\r\n{}"
POST = ApiRequest("POST", "/cgi-bin/x", {"access_token": "a b"}, '{"名":1}'.encode())


class Peer:
    """A server that answers each request with the next of some bytes; None closes."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Scenario = Callable[[Peer, WeChatTransport], Awaitable[None]]


def play(
    scenario: Scenario, *answers: bytes | None, prefix: str = "", seconds: float = 2.0
) -> Peer:
    """Run a scenario against a peer of its own."""
    peer = Peer(*answers)

    async def run() -> None:
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        host, _, path = prefix.partition("/")
        url = f"http://{host}127.0.0.1:{port}/{path}"
        transport = WeChatTransport(url, Phases(1.0, seconds), connections=4)
        try:
            await scenario(peer, transport)
        finally:
            await transport.close()
            server.close()

    asyncio.run(run())
    return peer


async def send_twice(_: Peer, transport: WeChatTransport) -> None:
    for _number in range(2):
        assert await transport.send(POST) == ApiResponse(200, "text/plain", b"{}")


def test_a_request_has_what_the_platform_asks_for_and_its_connection_is_kept() -> None:
    peer = play(send_twice, OK, OK)
    first, *headers = peer.heads[0].decode().splitlines()
    assert first == "POST /cgi-bin/x?access_token=a+b HTTP/1.1"
    named = dict(line.split(": ", 1) for line in headers if line)
    assert named["Host"].startswith("127.0.0.1:")
    assert named["Content-Type"] == "application/json"
    assert named["Content-Length"] == str(len(POST.body))
    assert peer.bodies == [POST.body] * 2
    assert (peer.heads[0], peer.connections) == (peer.heads[1], 1)


def test_a_base_url_may_have_a_path_and_a_user() -> None:
    peer = play(send_twice, OK, OK, prefix="me:pass@/wechat")
    assert peer.heads[0].startswith(b"POST /wechat/cgi-bin/x?access_token=a+b HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Basic bWU6cGFzcw==\r\n" in peer.heads[0]


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"content-length: 2", b"transfer-encoding: chunked").removesuffix(b"{}")
        + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        OK.replace(b"content-length", b"connection: close\r\ncontent-length"),
    ],
    ids=["chunks", "continue", "close"],
)
def test_an_answer_is_read_whatever_its_shape(answer: bytes) -> None:
    play(send_twice, answer, OK)


def test_a_long_answer_is_read_whole_and_one_that_is_too_long_is_not() -> None:
    def long(size: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)

    async def scenario(_: Peer, transport: WeChatTransport) -> None:
        read = await transport.send(POST)
        assert (read.content_type, len(read.body)) == ("application/octet-stream", 1 << 20)
        with pytest.raises(Unanswered, match="answered more than"):
            await transport.send(POST)

    play(scenario, long(1 << 20), long(MAX_ANSWER + 1), seconds=20.0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "ServerDisconnectedError"),
        (b"", "TimeoutError"),
        (OK[:-1], "ClientPayloadError"),
        (OK[:30], "TimeoutError"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "HttpProcessingError"),
    ],
    ids=["none", "silence", "half a body", "half a head", "another protocol"],
)
def test_what_is_no_whole_answer_leaves_it_open_and_its_connection_is_not_used_again(
    answer: bytes | None, why: str
) -> None:
    async def scenario(peer: Peer, transport: WeChatTransport) -> None:
        with pytest.raises(Unanswered, match=rf"/cgi-bin/x: {why} before an answer") as raised:
            await transport.send(POST)
        assert "a b" not in str(raised.value)
        peer.answers = [OK]
        await transport.send(POST)
        assert peer.connections == 2

    play(scenario, answer, None, seconds=0.2)


def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    async def scenario(peer: Peer, transport: WeChatTransport) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.send(POST), 0.05)
        peer.answers = [OK]
        await transport.send(POST)
        assert peer.connections == 2

    play(scenario, b"", None)


def test_without_a_connection_nothing_was_sent() -> None:
    async def scenario() -> None:
        transport = WeChatTransport(
            f"http://127.0.0.1:{free_port()}", Phases(1.0, 1.0), connections=1
        )
        with pytest.raises(NotSent, match="no connection to 127"):
            await transport.send(POST)
        await transport.close()

    asyncio.run(scenario())


def test_a_line_end_cannot_get_into_a_head() -> None:
    async def scenario(_: Peer, transport: WeChatTransport) -> None:
        with pytest.raises(ValueError, match="line's end"):
            await transport.send(POST._replace(content_type="a/b\r\nx: y"))

    play(scenario, OK)


def test_many_requests_at_a_time_have_no_more_connections_than_they_may() -> None:
    async def scenario(peer: Peer, transport: WeChatTransport) -> None:
        found = await asyncio.gather(*(transport.send(POST) for _ in range(40)))
        assert {one.body for one in found} == {b"{}"}
        assert peer.connections <= 4

    play(scenario, *[OK] * 40)
