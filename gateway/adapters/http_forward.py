"""Events sent to an HTTP endpoint, each as one POST signed as Standard Webhooks 1.0 has it.

The endpoint may also be asked: its JSON answer is then the reply to the message.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from msgspec import DecodeError
from msgspec.json import decode as parse
from standardwebhooks import Webhook

from gateway.errors import SettingsError
from gateway.inbound.publishing import (
    ACCEPTED,
    Later,
    Limits,
    Never,
    NoAnswer,
    Outgoing,
    Published,
    about,
    explain,
    oversized,
    publish_fitting,
    send_each,
)
from gateway.protocol.cloudevents import CONTENT_TYPE
from gateway.telemetry.tracing import (
    CLIENT,
    origin_of_caller,
    span,
    tell_status,
    traceparent_of,
    written,
)

MAX_ANSWER: Final = 65_536
"""Bytes of an answer that are read."""
MAX_RETRY_AFTER: Final = 86_400.0
"""Seconds: no Retry-After is taken for longer."""

_RETRIED: Final = frozenset({408, 425, 429})


class HttpForward:
    """The Publisher to an HTTP endpoint, and the Asker of it."""

    batch = 32

    def __init__(
        self,
        name: str,
        url: str,
        secrets: Sequence[str],
        limits: Limits,
        *,
        now: Callable[[], float],
    ) -> None:
        """Sign with each of ``secrets`` (``whsec_…``); ``now`` gives Unix seconds."""
        self._name = name
        self._url = url
        self._signers = [Webhook(secret) for secret in secrets]
        self._limits = limits
        self._now = now
        self._at_a_time = asyncio.Semaphore(self.batch)
        self._opened: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Look whether anything answers at the URL, whatever it says to a HEAD."""
        try:
            async with (
                asyncio.timeout(self._limits.seconds),
                self._session().head(self._url, allow_redirects=False),
            ):
                pass
        except (aiohttp.ClientError, TimeoutError) as wrong:
            raise SettingsError(
                f"sinks.{self._name}: its url does not answer ({type(wrong).__name__}); start what "
                "serves it, or correct the url"
            ) from None

    async def publish(self, events: Sequence[Outgoing]) -> list[Published]:
        """POST each event, ``batch`` of them at a time."""
        return await publish_fitting(events, self._limits, self._send)

    async def ask(self, event: Outgoing, seconds: float) -> dict[str, Any] | None:
        """POST the event and return the JSON object it is answered with; None for an empty answer.

        Raise NoAnswer where there is none within ``seconds``, or none that can be read.
        """
        try:
            async with asyncio.timeout(seconds), self._post(event) as response:
                if not 200 <= response.status < 300:
                    raise NoAnswer(f"sinks.{self._name}: status {response.status}")
                return self._reply(await _read(response))
        except (aiohttp.ClientError, TimeoutError) as wrong:
            raise NoAnswer(f"sinks.{self._name}: {type(wrong).__name__}") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.close()

    async def _send(self, events: Sequence[Outgoing], deadline: float) -> list[Published]:
        return await send_each(events, deadline, self._send_one)

    async def _send_one(self, event: Outgoing) -> Published:
        async with self._at_a_time:
            try:
                async with self._post(event) as response:
                    # An answer that is read to its end leaves the connection for the next event.
                    await _read(response)
                    return self._judge(event, response)
            except (aiohttp.ClientError, ValueError) as wrong:
                # The class alone: what the endpoint sent may stand in the message.
                return Later(f"unreachable: {type(wrong).__name__}")

    def _post(self, event: Outgoing) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._traced(event) if event.traceparent else self._request(event)

    @asynccontextmanager
    async def _traced(self, event: Outgoing) -> AsyncGenerator[aiohttp.ClientResponse]:
        """POST an event within a span, which the endpoint gets to know."""
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/; no path: it may be a secret.
        attributes = {
            "http.request.method": "POST",
            "server.address": urlsplit(self._url).hostname or "",
            **about(self._name, event),
        }
        with span("POST", CLIENT, attributes, origin=origin_of_caller(event.traceparent)) as made:
            traceparent = traceparent_of(written(made)) or event.traceparent
            async with self._request(event._replace(traceparent=traceparent)) as response:
                tell_status(made, response.status, errors=400)
                yield response

    def _request(self, event: Outgoing) -> Any:
        return self._session().post(
            self._url, data=event.body, headers=self._headers(event), allow_redirects=False
        )

    def _headers(self, event: Outgoing) -> dict[str, str]:
        at = datetime.fromtimestamp(int(self._now()), UTC)
        body = event.body.decode()
        traced = {"traceparent": event.traceparent} if event.traceparent else {}
        return {
            **traced,
            "content-type": CONTENT_TYPE,
            "webhook-id": event.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(s.sign(event.id, at, body) for s in self._signers),
        }

    def _judge(self, event: Outgoing, response: aiohttp.ClientResponse) -> Published:
        status = response.status
        if 200 <= status < 300:
            return ACCEPTED
        if status in _RETRIED or status >= 500:
            after = _seconds(response.headers.get("retry-after", ""), self._now())
            return Later(f"status: {status}", after)
        if 300 <= status < 400:
            return Never(f"redirected: {status}; let the url be where the endpoint is")
        if status == 413:
            return oversized(event)
        return Never(f"gone: {status}" if status == 410 else f"refused: {status}")

    def _reply(self, body: bytes | None) -> dict[str, Any] | None:
        if body is None:
            raise NoAnswer(f"sinks.{self._name}: answered more than {MAX_ANSWER} bytes")
        if not body.strip():
            return None
        try:
            reply = parse(body)
        except (DecodeError, ValueError, RecursionError) as wrong:
            raise NoAnswer(f"sinks.{self._name}: answered no JSON ({explain(wrong)})") from None
        if reply is not None and not isinstance(reply, dict):
            raise NoAnswer(f"sinks.{self._name}: answered JSON that is no object")
        return reply

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                # Unlimited, so that a question never waits behind events; those wait by themselves.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self._limits.seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Nothing packed is asked for or unpacked: it could be of any size.
                headers={"accept-encoding": "identity", "user-agent": "wechat-gateway"},
                auto_decompress=False,
            )
        return self._opened


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the answer; None where it is too long, which ends the connection."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            response.close()
            return None
    return bytes(body)


def _seconds(retry_after: str, now: float) -> float:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110, 10.2.3); 0 for garbage."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        seconds = float(retry_after)
    else:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
