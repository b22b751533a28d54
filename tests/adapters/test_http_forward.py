"""Forwarding over HTTP: what is signed, what each answer means, and the answer as a reply."""

import asyncio
import base64
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, Final

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.adapters.http_forward import MAX_ANSWER, MAX_RETRY_AFTER, HttpForward
from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    TIMED_OUT,
    Later,
    Limits,
    Never,
    NoAnswer,
    Outgoing,
    Published,
)
from tests.brokers import Answer, Upstream, http_upstream

SECRET: Final = "whsec_" + base64.b64encode(b"the secret, of 24 bytes.").decode()
OLD_SECRET: Final = "whsec_" + base64.b64encode(b"the one before it, longer").decode()
EVENT: Final = Outgoing("0f" * 16, "message.text", "oU", '{"data": "你好"}'.encode())
LIMITS: Final = Limits(seconds=10, max_bytes=100_000)


@asynccontextmanager
async def forwarding(
    answer: Answer | None = None,
    *,
    limits: Limits = LIMITS,
    secrets: tuple[str, ...] = (SECRET,),
    now: Callable[[], float] = time.time,
    path: str = "",
) -> AsyncIterator[tuple[HttpForward, Upstream]]:
    """Run an endpoint that answers so, and forward to it."""
    async with http_upstream(answer) as upstream:
        forward = HttpForward("crm", upstream.url + path, secrets, limits, now=now)
        try:
            yield forward, upstream
        finally:
            await forward.close()


def status(code: int, **headers: str) -> Answer:
    """Return how an endpoint answers with this status."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=code, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return answer


def says(body: bytes, **settings: Any) -> Answer:
    """Return how an endpoint answers with this body."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, **settings)

    return answer


def publish(answer: Answer | None, **settings: Any) -> Published:
    """Return what becomes of the event at such an endpoint."""

    async def scenario() -> Published:
        async with forwarding(answer, **settings) as (forward, _):
            (published,) = await forward.publish([EVENT])
            return published

    return asyncio.run(scenario())


def ask(answer: Answer, seconds: float = 10.0) -> dict[str, Any] | None:
    """Return what an endpoint's answer gives as a reply."""

    async def scenario() -> dict[str, Any] | None:
        async with forwarding(answer) as (forward, _):
            return await forward.ask(EVENT, seconds)

    return asyncio.run(scenario())


@asynccontextmanager
async def raw_upstream(answer: bytes) -> AsyncIterator[str]:
    """Run what speaks no HTTP: it answers with these bytes, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(EVENT.body[-3:])
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def test_a_request_is_signed_as_the_library_verifies_it() -> None:
    async def scenario() -> None:
        async with forwarding() as (forward, upstream):
            assert await forward.publish([EVENT]) == [ACCEPTED]
            ((headers, body),) = upstream.received
            assert body == EVENT.body
            assert headers["webhook-id"] == EVENT.id
            assert headers["content-type"] == "application/cloudevents+json"
            assert Webhook(SECRET).verify(body, headers) == json.loads(body)
            with pytest.raises(WebhookVerificationError):
                Webhook(OLD_SECRET).verify(body, headers)
            with pytest.raises(WebhookVerificationError):
                Webhook(SECRET).verify(body + b" ", headers)

    asyncio.run(scenario())


def test_while_a_secret_is_rotated_either_verifies() -> None:
    async def scenario() -> None:
        async with forwarding(secrets=(SECRET, OLD_SECRET)) as (forward, upstream):
            assert await forward.publish([EVENT]) == [ACCEPTED]
            ((headers, body),) = upstream.received
            for secret in (SECRET, OLD_SECRET):
                Webhook(secret).verify(body, headers)

    asyncio.run(scenario())


def test_each_try_is_signed_for_its_own_time_under_the_same_id() -> None:
    async def scenario() -> None:
        times = iter((1_715_984_936.9, 1_715_984_999.0))
        async with forwarding(now=lambda: next(times)) as (forward, upstream):
            for _ in range(2):
                await forward.publish([EVENT])
            (first, _), (second, _) = upstream.received
            assert first["webhook-id"] == second["webhook-id"]
            assert first["webhook-timestamp"] == "1715984936"
            assert second["webhook-timestamp"] == "1715984999"
            assert first["webhook-signature"] != second["webhook-signature"]

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_success_is_acceptance(code: int) -> None:
    assert publish(status(code)) == ACCEPTED


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(code: int) -> None:
    assert publish(status(code)) == Later(f"status: {code}")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, "refused: 400"),
        (401, "refused: 401"),
        (404, "refused: 404"),
        (410, "gone: 410"),
        (413, f"oversized: {len(EVENT.body)} bytes"),
        (422, "refused: 422"),
    ],
)
def test_what_will_not_pass_is_a_dead_letter(code: int, reason: str) -> None:
    assert publish(status(code)) == Never(reason)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(code: int) -> None:
    async def scenario() -> None:
        async with http_upstream() as elsewhere:
            async with forwarding(status(code, location=elsewhere.url)) as (forward, _):
                (published,) = await forward.publish([EVENT])
            assert isinstance(published, Never)
            assert published.reason.startswith(f"redirected: {code}")
            assert elsewhere.received == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (formatdate(1_000_090, usegmt=True), 90.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("999999999", MAX_RETRY_AFTER),
        ("9" * 400, 0.0),
        ("-5", 0.0),
        ("1e3", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_is_a_floor(code: int, retry_after: str, seconds: float) -> None:
    published = publish(status(code, retry_after=retry_after), now=lambda: 1_000_000.0)
    assert published == Later(f"status: {code}", seconds)


def test_one_request_that_hangs_delays_no_other() -> None:
    async def scenario() -> None:
        async def answer(request: web.Request) -> web.Response:
            if request.headers["webhook-id"] == EVENT.id:
                await asyncio.sleep(60)
            return web.Response()

        hasty = LIMITS._replace(seconds=1)
        async with forwarding(answer, limits=hasty) as (forward, _):
            others = [EVENT._replace(id=f"{number:032x}") for number in range(2)]
            published = await forward.publish([others[0], EVENT, others[1]])
            assert published == [ACCEPTED, TIMED_OUT, ACCEPTED]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\xff" * 1000,
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
    ids=lambda garbage: repr(garbage[:24]),
)
def test_garbage_is_for_later(garbage: bytes) -> None:
    async def scenario() -> None:
        async with raw_upstream(garbage) as url:
            forward = HttpForward("crm", url, [SECRET], LIMITS, now=time.time)
            (published,) = await forward.publish([EVENT])
            assert isinstance(published, Later)
            assert published.reason.startswith("unreachable: ")
            with pytest.raises(NoAnswer, match=r"^sinks\.crm: "):
                await forward.ask(EVENT, 10)
            await forward.close()

    asyncio.run(scenario())


async def endless(request: web.Request) -> web.StreamResponse:
    """Answer for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


def test_an_endless_answer_is_read_so_far_and_no_further() -> None:
    assert publish(endless) == ACCEPTED
    with pytest.raises(NoAnswer, match=f"answered more than {MAX_ANSWER} bytes"):
        ask(endless)


def test_a_connection_is_used_again() -> None:
    async def scenario() -> None:
        peers = set()

        async def answer(request: web.Request) -> web.Response:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return web.Response(text="thank you")

        async with forwarding(answer) as (forward, _):
            for _ in range(5):
                assert await forward.publish([EVENT]) == [ACCEPTED]
        assert len(peers) == 1

    asyncio.run(scenario())


def test_cookies_are_not_kept() -> None:
    async def scenario() -> None:
        async with http_upstream(status(200, set_cookie="a=b")) as upstream:
            # Cookies belong to names, not to addresses.
            url = upstream.url.replace("127.0.0.1", "localhost")
            forward = HttpForward("crm", url, [SECRET], LIMITS, now=time.time)
            for _ in range(2):
                assert await forward.publish([EVENT]) == [ACCEPTED]
            await forward.close()
            assert all("cookie" not in headers for headers, _ in upstream.received)

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [200, 404, 405, 500])
def test_whatever_an_endpoint_says_at_start_it_is_there(code: int) -> None:
    async def scenario() -> None:
        async with forwarding(status(code)) as (forward, upstream):
            await forward.start()
            assert upstream.received == [], "nothing was posted"

    asyncio.run(scenario())


def test_an_endpoint_that_hangs_at_start_is_named() -> None:
    async def scenario() -> None:
        async with forwarding(limits=LIMITS._replace(seconds=0.5)) as (forward, upstream):
            await upstream.hang()
            with pytest.raises(SettingsError, match=r"^sinks\.crm: its url does not answer"):
                await forward.start()

    asyncio.run(scenario())


def test_an_answer_in_json_is_the_reply() -> None:
    assert ask(says('{"type": "text", "content": "你好"}'.encode())) == {
        "type": "text",
        "content": "你好",
    }


@pytest.mark.parametrize("answer", [status(204), says(b""), says(b" \n"), says(b"null")])
def test_an_empty_answer_is_no_reply(answer: Answer) -> None:
    assert ask(answer) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(500), "status 500"),
        (status(404), "status 404"),
        (status(302, location="/elsewhere"), "status 302"),
        (says(b"<html>"), "answered no JSON"),
        (says(b"[1]"), "answered JSON that is no object"),
        (says(b'"text"'), "answered JSON that is no object"),
        (says(b"\xff\xfe"), "answered no JSON"),
        (says(b"[" * 60_000), "answered no JSON"),
        (
            says(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
            "answered no JSON",
        ),
        (says(b"{}" + b" " * MAX_ANSWER), f"answered more than {MAX_ANSWER} bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_other_answer_is_none(answer: Answer, said: str) -> None:
    with pytest.raises(NoAnswer, match=rf"^sinks\.crm: {said}"):
        ask(answer)


def test_a_question_waits_no_longer_than_its_deadline() -> None:
    async def hanging(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    with pytest.raises(NoAnswer, match=r"^sinks\.crm: TimeoutError$"):
        ask(hanging, 0.2)


def test_a_question_does_not_wait_behind_events_that_hang() -> None:
    async def scenario() -> None:
        full = asyncio.Barrier(HttpForward.batch + 1)

        async def answer(request: web.Request) -> web.Response:
            if request.headers["webhook-id"] != EVENT.id:
                await full.wait()
                await asyncio.sleep(60)
            return web.Response(body=b"{}")

        async with forwarding(answer, limits=LIMITS._replace(seconds=2)) as (forward, _):
            many = [EVENT._replace(id=f"{number:032x}") for number in range(200)]
            publishing = asyncio.create_task(forward.publish(many))
            await full.wait()
            assert await forward.ask(EVENT, 10) == {}
            assert not publishing.done()
            assert await publishing == [TIMED_OUT] * 200

    asyncio.run(scenario())


def test_a_question_is_signed_too() -> None:
    async def scenario() -> None:
        async with forwarding() as (forward, upstream):
            await forward.ask(EVENT, 10)
            ((headers, body),) = upstream.received
            Webhook(SECRET).verify(body, headers)

    asyncio.run(scenario())
