"""Delivery as WeChat does it: 5 seconds, 3 tries, and a reply that is opened and judged."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from gateway.kernels import EnvelopeCipher, extract, signature_matches
from gateway.protocol.account import Mode
from gateway.simulator.sealing import Callback, Sender

TIMEOUT: Final = 5.0
"""Seconds until WeChat cuts the connection (PROTOCOL 3)."""

TRIES: Final = 3
"""Deliveries in all (PROTOCOL 3)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery: the status it was answered with, or what went wrong, and the time it took."""

    status: int | None
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    attempts: tuple[Attempt, ...]
    reply: dict[str, Any] | None
    """The fields of the reply that the user sees; None where there is none."""
    complaint: str
    """Why WeChat would tell the user that the account is out of order; empty where it would not."""

    @property
    def status(self) -> int | None:
        """The status of the last attempt."""
        return self.attempts[-1].status


class Platform:
    """WeChat, as far as one account's callback URL is concerned."""

    def __init__(self, session: aiohttp.ClientSession, sender: Sender, url: str) -> None:
        self._session = session
        self._sender = sender
        self._url = url

    async def deliver(self, make: Callable[[], Callback], tries: int = TRIES) -> Outcome:
        """Send a callback until it is answered 200, ``tries`` times at most.

        ``make`` is called for each try: a retry is signed anew, the message in it is the same.
        """
        attempts: list[Attempt] = []
        body = b""
        while len(attempts) < tries:
            callback = make()
            attempt, body = await self._send(
                "POST", callback.query, callback.body, callback.headers
            )
            attempts.append(attempt)
            if attempt.status == 200:
                reply, complaint = self._judge(body)
                return Outcome(tuple(attempts), reply, complaint)
        return Outcome(tuple(attempts), None, _no_answer(attempts[-1]))

    async def verify(self, query: str) -> tuple[Attempt, bytes]:
        """Send the console's URL verification; return the answer's body with it."""
        return await self._send("GET", query, None, {})

    async def _send(
        self, method: str, query: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[Attempt, bytes]:
        separator = "&" if "?" in self._url else "?"
        started = time.perf_counter()
        status, error, answer = None, "", b""
        try:
            async with asyncio.timeout(TIMEOUT):
                url = URL(f"{self._url}{separator}{query}", encoded=True)
                async with self._session.request(method, url, data=body, headers=headers) as got:
                    answer = await got.read()
                    status = got.status
        except TimeoutError:
            error = f"no answer within {TIMEOUT:g} s"
        except aiohttp.ClientError as wrong:
            error = f"{type(wrong).__name__}: is the gateway running there?"
        return Attempt(status, error, time.perf_counter() - started), answer

    def _judge(self, body: bytes) -> tuple[dict[str, Any] | None, str]:
        """Return the reply in an answer, and what is wrong with it."""
        if body in (b"", b"success"):
            return None, ""
        try:
            fields = _read(body)
            if self._sender.mode is not Mode.PLAIN and "Encrypt" in fields:
                fields = _read(open_reply(self._sender, fields))
        except ValueError as wrong:
            return None, f"the reply is not one WeChat can read: {wrong}"
        if self._sender.mode is Mode.SAFE and b"Encrypt" not in body:
            return fields, "the reply is not sealed, but the mode is safe"
        return fields, ""


def open_reply(sender: Sender, envelope: dict[str, Any]) -> bytes:
    """Return the document sealed in a reply's envelope; raise ValueError where it is not sound."""
    if sender.aes_key is None:
        raise ValueError("it is sealed, and there is no key to open it with")
    try:
        encrypt, timestamp, nonce, signature = (
            str(envelope[name]).strip().encode()
            for name in ("Encrypt", "TimeStamp", "Nonce", "MsgSignature")
        )
    except KeyError as missing:
        raise ValueError(f"its envelope has no {missing.args[0]}") from None
    if not signature_matches(signature, sender.token, timestamp, nonce, encrypt):
        raise ValueError("its MsgSignature is wrong")
    document, receiver_id = EnvelopeCipher(sender.aes_key).open(encrypt)
    if receiver_id != sender.app_id.encode():
        raise ValueError("it is sealed for another app id")
    return document


def _read(document: bytes) -> dict[str, Any]:
    # WeChat takes nothing ahead of the document: no blank, no byte order mark (PROTOCOL 3).
    if document.startswith(b"{"):
        fields: dict[str, Any] = msgspec.json.decode(document)
        return fields
    if not document.startswith(b"<xml>"):
        raise ValueError("it is neither XML nor JSON")
    return extract(document)


def _no_answer(attempt: Attempt) -> str:
    return attempt.error or f"status {attempt.status}"
