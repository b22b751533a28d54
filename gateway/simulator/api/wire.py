"""As much HTTP/1.1 as clients of an API speak: a request at a time, its body of a stated length.

A simulator that took more of the processor than the client under test would be what is measured.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Final, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_BODY: Final = 12 << 20
"""Bytes of a request's body; the largest file has 10 MB (PROTOCOL 7.4)."""

MAX_HEAD: Final = 1 << 16

_END: Final = b"\r\n\r\n"

_ONE_LINE: Final = re.compile(r"[ -~]+").fullmatch


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    """Without its escapes."""
    query: Mapping[str, str]
    """Shared by all requests of the same first line: not to be changed."""
    body: bytes
    head: bytes = b""
    """As it came, for what few ask for: it is not taken apart before."""

    @property
    def raw_query(self) -> str:
        """The query with its escapes and in its order."""
        target = self.head.partition(b"\r\n")[0].split(b" ")[1]
        return target.partition(b"?")[2].partition(b"#")[0].decode("ascii")

    def cookie(self, name: str) -> str | None:
        """Return a cookie's value; None where there is none of that name."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            field, _, value = line.partition(":")
            if field.strip().lower() == "cookie":
                for pair in value.split(";"):
                    key, found, text = pair.strip().partition("=")
                    if found and key == name:
                        return text
        return None


class Answered(NamedTuple):
    """What is written back."""

    data: bytes
    ends: bool = False
    """Whether the connection is closed behind it; where there is nothing, it is reset."""


Handle = Callable[[Asked], Answered]


def response(
    body: bytes,
    status: int = 200,
    kind: str = "text/plain",
    fields: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Return a response, head and body, with these fields in its head besides.

    Raises ValueError where a field would end its line, and begin another.
    """
    if status == 200 and kind == "text/plain" and not fields:
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in (("Content-Type", kind), *fields)),
        f"Content-Length: {len(body)}",
    ]
    if any(not _ONE_LINE(line) for line in lines):
        raise ValueError("a field of the head has characters that it must not have")
    return "\r\n".join(lines).encode("ascii") + _END + body


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        handle: Handle,
        delay: Callable[[Asked], float],
        ended: Callable[["Wire"], None],
    ) -> None:
        """Answer each request so many seconds later, as ``delay`` says of it."""
        self._handle = handle
        self._delay = delay
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._due: asyncio.TimerHandle | None = None
        """When the request at hand is answered; the next one waits until then."""
        self._told_to_go_on = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End; what was asked is still done."""
        self._transport = None
        self._ended(self)

    def close(self) -> None:
        """End, whatever is under way."""
        if self._due is not None:
            self._due.cancel()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._received = self._received + data if self._received else data
        if self._due is None:
            self._take()

    def _take(self) -> None:
        """Answer requests as long as there is a whole one, and none is to be waited for."""
        while self._received and self._due is None:
            head, found, rest = self._received.partition(_END)
            if not found:
                if len(head) > MAX_HEAD:
                    self._refuse(431)
                return
            length = _length(head.lower())
            if length < 0 or length > MAX_BODY:
                self._refuse(413 if length > 0 else 411)
                return
            if len(rest) < length:
                self._go_on(head)
                return
            self._received, self._told_to_go_on = rest[length:], False
            line, _, fields = head.partition(b"\r\n")
            try:
                method, path, query = _first(line)
            except ValueError:
                self._refuse(400)
                return
            closes = b"connection: close" in fields.lower()
            self._answer_in_time(Asked(method, path, query, rest[:length], head), closes=closes)

    def _answer_in_time(self, asked: Asked, *, closes: bool) -> None:
        seconds = self._delay(asked)
        if not seconds:
            self._answer(asked, closes=closes)
            return

        def answer() -> None:
            self._due = None
            self._answer(asked, closes=closes)
            self._take()

        self._due = asyncio.get_running_loop().call_later(seconds, answer)

    def _answer(self, asked: Asked, *, closes: bool) -> None:
        answered = self._handle(asked)
        transport = self._transport
        if transport is None:
            return
        if not answered.data:
            _reset(transport)
            return
        transport.write(answered.data)
        if closes or answered.ends:
            transport.close()

    def _go_on(self, head: bytes) -> None:
        """Ask for a body that is held back until then."""
        waits = not self._told_to_go_on and b"expect: 100-continue" in head.lower()
        if waits and self._transport is not None:
            self._told_to_go_on = True
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, status: int) -> None:
        """Answer what is no request that can be served, and end."""
        self._received = b""
        if self._transport is not None:
            self._transport.write(response(b"", status))
            self._transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """End a connection as a router that lost it does: nothing in it is delivered any more."""
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
    transport.abort()


def _length(head: bytes) -> int:
    """Return how long a body is, by a head in small letters; -1 where that is not said right."""
    before, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        return -1 if b"\r\ntransfer-encoding:" in before else 0
    value = rest.partition(b"\r\n")[0].strip()
    return int(value) if value.isdigit() else -1


@lru_cache(1024)
def _first(line: bytes) -> tuple[str, str, Mapping[str, str]]:
    """Return method, path and query of a request's first line; raise ValueError if it is none."""
    method, target, version = line.decode("ascii").split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return method, unquote(url.path), query
