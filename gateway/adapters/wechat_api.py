"""Requests to WeChat's API over HTTP: connections kept alive by aiohttp, a limit on each phase.

A message is one small POST. Of what aiohttp's session does for each, such as cookies, redirects,
proxies, traces and headers drawn up anew, none is wanted, and it takes half of the time. So its
pool and its parser are used without the session: a request is written as bytes, the answer read
where it arrives. The seam, a connector's ``connect`` and a connection's ``protocol``, is not one
that aiohttp promises: it is the same in 3.11 and 3.14, and a release that changes it fails the
tests of this module.
"""

import asyncio
from functools import lru_cache
from typing import Final, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.hdrs import AUTHORIZATION, CONTENT_TYPE, HOST
from aiohttp.http import HttpProcessingError
from yarl import URL

from gateway.errors import NotSent, Unanswered
from gateway.outbound.ports import ApiRequest, ApiResponse

BASE_URL: Final = "https://api.weixin.qq.com"
"""PROTOCOL 7."""

MAX_ANSWER: Final = 32 << 20
"""Bytes of an answer that are read; the platform's largest files have 10 MB (PROTOCOL 7.4)."""

_HEADS: Final = 128
"""How many heads are kept: of each endpoint with the token of now, and of some queries."""

_WRONG: Final = (
    aiohttp.ClientError,
    HttpProcessingError,
    aiohttp.EofStream,
    TimeoutError,
    OSError,
)
"""What a connection ends in."""


class Phases(NamedTuple):
    """Seconds that each phase of a request may take."""

    connect: float = 3.0
    """Until there is a connection."""
    answer: float = 10.0
    """From then until the answer is there, whole."""


class WeChatTransport:
    """The Transport to one base URL."""

    def __init__(self, base: str, phases: Phases, *, connections: int) -> None:
        """Have up to so many connections; what needs another one waits, as long as it takes."""
        self._base = URL(base)
        self._phases = phases
        self._free = asyncio.Semaphore(connections)
        self._opened: _Pool | None = None
        self._head = lru_cache(_HEADS)(self._make_head)

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request, once."""
        async with self._free:
            connection = await self._connect(request)
            try:
                response = await self._exchange(connection, request)
            except _WRONG as wrong:
                connection.close()
                # The class alone: the message may hold the URL, and with it the token.
                kind = type(wrong).__name__
                raise Unanswered(f"{request.path}: {kind} before an answer") from None
            except BaseException:
                connection.close()
                raise
            connection.release()
            return response

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        if self._opened is not None:
            await self._opened.connector.close()

    async def _connect(self, request: ApiRequest) -> Connection:
        if self._opened is None:
            self._opened = _open(self._base, self._phases.connect)
        pool = self._opened
        try:
            return await pool.connector.connect(pool.like, [], pool.timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            raise NotSent(
                f"{request.path}: no connection to {self._base.host} ({type(wrong).__name__}); "
                "look at network, DNS and proxy, and at the account's api_url"
            ) from None

    async def _exchange(self, connection: Connection, request: ApiRequest) -> ApiResponse:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(read_until_eof=True)
        head = self._head(
            request.method, request.path, request.content_type, *request.query.items()
        )
        # A timer alone: asyncio.timeout takes a tenth of what all the rest does.
        late = asyncio.get_running_loop().call_later(
            self._phases.answer, _give_up, protocol, transport
        )
        try:
            transport.write(b"%b%d\r\n\r\n%b" % (head, len(request.body), request.body))
            message, content = await protocol.read()
            while message.code < 200:
                message, content = await protocol.read()
            body = content.read_nowait() if content.is_eof() else await _read(request, content)
        finally:
            late.cancel()
        kind = message.headers.get(CONTENT_TYPE, "application/octet-stream")
        return ApiResponse(message.code, kind.partition(";")[0].strip().lower(), body)

    def _make_head(self, method: str, path: str, kind: str, *query: tuple[str, str]) -> bytes:
        """Return a request's head, up to the number that is its body's length."""
        url = self._base.joinpath(path.removeprefix("/")).with_query(query)
        own = _like(self._base).headers
        lines = [
            f"{method} {url.raw_path_qs} HTTP/1.1",
            *(f"{name}: {own[name]}" for name in (HOST, AUTHORIZATION) if name in own),
            "User-Agent: wechat-gateway",
            "Accept: */*",
            f"Content-Type: {kind}",
            "Content-Length: ",
        ]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line's end in the head of a request")
        return "\r\n".join(lines).encode()


class _Pool(NamedTuple):
    """aiohttp's connections, and how to ask for one."""

    connector: aiohttp.TCPConnector
    like: aiohttp.ClientRequest
    """A request to where they go: it says that, and whether by TLS."""
    timeout: aiohttp.ClientTimeout


def _open(base: URL, seconds: float) -> _Pool:
    return _Pool(
        aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        _like(base),
        aiohttp.ClientTimeout(connect=seconds, sock_connect=seconds),
    )


def _like(base: URL) -> aiohttp.ClientRequest:
    return aiohttp.ClientRequest("POST", base, loop=asyncio.get_running_loop())


def _give_up(protocol: ResponseHandler, transport: asyncio.Transport) -> None:
    """Fail whoever waits for an answer, or for the rest of one."""
    protocol.set_exception(TimeoutError())
    transport.abort()


async def _read(request: ApiRequest, content: aiohttp.StreamReader) -> bytes:
    """Return the answer; raise Unanswered for one that is too long, which ends the connection."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise Unanswered(f"{request.path}: answered more than {MAX_ANSWER} bytes")
    return bytes(body)
