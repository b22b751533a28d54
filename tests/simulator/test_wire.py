"""The platform's HTTP: requests in pieces, one behind the other, and those that are none."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from gateway.simulator.api.faults import ApiFault
from gateway.simulator.api.wire import MAX_BODY, MAX_HEAD
from tests.outbound.desk import TEMPLATE, USER, Desk, desk

Scenario = Callable[[Desk, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SEND = "/cgi-bin/message/template/send"


def play(scenario: Scenario) -> None:
    """Run a scenario over one connection to a platform of its own."""

    async def run() -> None:
        async with desk() as one:
            port = int(one.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.wait_for(scenario(one, reader, writer), 20)
            finally:
                writer.close()

    asyncio.run(run())


def request(path: str, body: object = None, *fields: str) -> bytes:
    """Return a request; a GET without a body."""
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    line = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1"
    head = "\r\n".join([line, "host: x", *fields, f"CONTENT-LENGTH:{len(raw)}", "", ""])
    return head.encode() + raw


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of a response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.partition("Content-Length: ")[2].split()[0])
    return int(head.split()[1]), await reader.readexactly(length)


def sent(one: Desk, key: str) -> bytes:
    """Return the request that sends a template message."""
    data = {"thing1": {"value": "巧克力"}, "amount2": {"value": "1元"}}
    body = {"touser": USER, "template_id": TEMPLATE.id, "data": data, "client_msg_id": key}
    given = one.account.tokens.stable()
    assert isinstance(given, tuple)
    return request(f"{SEND}?access_token={given[0]}", body)


def test_a_request_may_come_a_byte_at_a_time_and_two_at_once() -> None:
    async def scenario(
        one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for byte in sent(one, "a"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await read(reader))[0] == 200
        one.faults.latency = 0.01
        writer.write(sent(one, "b") + sent(one, "c") + request("/simulator/summary"))
        first, second = [json.loads((await read(reader))[1]) for _ in range(2)]
        assert (first["errcode"], second["msgid"]) == (0, first["msgid"] + 1)
        (account,) = json.loads((await read(reader))[1])["accounts"].values()
        assert account == {
            "received": 3,
            "distinct": 3,
            "duplicates": 0,
            "channels": {SEND: 3},
            "tokens_made": 1,
        }

    play(scenario)


def test_a_duplicate_is_counted_once_its_window_is_over() -> None:
    async def scenario(
        one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for seconds, received in ((0, 1), (599, 1), (2, 2)):
            one.clock.offset += seconds
            writer.write(sent(one, "same"))
            await read(reader)
            summary = one.account.ledger.summary()
            assert (summary.received, summary.distinct) == (received, 1)
        assert one.account.ledger.summary().duplicates == 1
        assert len(one.account.repeats) == 1
        writer.write(request(f"/simulator/ledger?openid={USER}"))
        told = json.loads((await read(reader))[1])["received"]
        assert [one["body"]["data"]["amount2"] for one in told] == [{"value": "1元"}] * 2

    play(scenario)


def test_a_body_that_is_held_back_is_asked_for() -> None:
    async def scenario(
        _one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        whole = request("/simulator/faults", {"latency": 0}, "Expect: 100-continue")
        writer.write(whole[:-5])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(whole[-5:])
        assert await read(reader) == (200, b"{}")

    play(scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * MAX_HEAD, 431),
    ],
)
def test_what_cannot_be_served_is_answered_and_ends(data: bytes, status: int) -> None:
    async def scenario(
        _one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(data)
        assert (await read(reader))[0] == status
        assert await reader.read() == b""

    play(scenario)


def test_a_connection_ends_where_the_client_wants_it() -> None:
    async def scenario(
        _one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(request("/simulator/summary", None, "Connection: close"))
        assert (await read(reader))[0] == 200
        assert await reader.read() == b""

    play(scenario)


@pytest.mark.parametrize(
    ("fault", "received"),
    [(ApiFault.HALF, 1), (ApiFault.RESET_AFTER, 1), (ApiFault.RESET_BEFORE, 0)],
)
def test_a_fault_ends_the_connection_with_or_without_the_message(
    fault: ApiFault, received: int
) -> None:
    async def scenario(
        one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        one.faults.rates = {fault: 1.0}
        writer.write(sent(one, "a"))
        if fault is ApiFault.HALF:
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert 0 < len(body) < int(head.rpartition(b" ")[2])
        else:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        assert one.account.ledger.summary().received == received

    play(scenario)


def test_quotas_are_set_and_wrong_paths_and_methods_are_told() -> None:
    async def scenario(
        one: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def ask(path: str, body: object = None) -> tuple[int, dict[str, object]]:
            writer.write(request(path, body))
            status, told = await read(reader)
            return status, json.loads(told)

        assert await ask("/simulator/quotas", {SEND: {"daily": 1}}) == (200, {})
        writer.write(sent(one, "a") + sent(one, "b"))
        codes = [json.loads((await read(reader))[1])["errcode"] for _ in range(2)]
        assert codes == [0, 45009]
        status, told = await ask("/simulator/quotas", {SEND: {"daily": -1}})
        assert (status, ">= 0" in str(told["error"])) == (400, True)
        status, told = await ask("/simulator/nothing")
        assert (status, "tokens/kill" in str(told["error"])) == (404, True)
        status, told = await ask("/simulator/faults")
        assert (status, told["error"]) == (405, "GET is not allowed; POST is")

    play(scenario)
