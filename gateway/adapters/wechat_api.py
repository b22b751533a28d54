"""Requests to WeChat's API over HTTP, by aiohttp: connections kept alive, a limit on each phase."""

import asyncio
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from gateway.errors import NotSent, Unanswered
from gateway.outbound.ports import ApiRequest, ApiResponse

BASE_URL: Final = "https://api.weixin.qq.com"
"""PROTOCOL 7."""

MAX_ANSWER: Final = 32 << 20
"""Bytes of an answer that are read; the platform's largest files have 10 MB (PROTOCOL 7.4)."""


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
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request, once."""
        url = self._base.joinpath(request.path.removeprefix("/")).with_query(request.query)
        headers = {"content-type": request.content_type} if request.body else None
        try:
            async with (
                self._free,
                self._session().request(
                    request.method,
                    url,
                    data=request.body or None,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                return ApiResponse(
                    response.status, response.content_type, await _read(request, response)
                )
        except _BEFORE_IT_WENT_OUT as wrong:
            raise NotSent(
                f"{request.path}: no connection to {self._base.host} ({type(wrong).__name__}); "
                "look at network, DNS and proxy, and at the account's api_url"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            # The class alone: the message may hold the URL, and with it the token.
            raise Unanswered(f"{request.path}: {type(wrong).__name__} before an answer") from None

    async def close(self) -> None:
        """Close the connections; twice does nothing."""
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(
                    total=self._phases.connect + self._phases.answer,
                    sock_connect=self._phases.connect,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "wechat-gateway"},
            )
        return self._opened


_BEFORE_IT_WENT_OUT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)


async def _read(request: ApiRequest, response: aiohttp.ClientResponse) -> bytes:
    """Return the answer; raise Unanswered for one that is too long, which ends the connection."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            response.close()
            raise Unanswered(f"{request.path}: answered more than {MAX_ANSWER} bytes")
    return bytes(body)
