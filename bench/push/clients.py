"""The HTTP clients: each sends a message by its number, and raises where it was not taken."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any, Final

import aiohttp
from yarl import URL

from bench.push.order import APP_ID, PATH, SECRET, TEMPLATE_ID, Order, body, check, data, open_id
from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.wechat_api import Phases, WeChatTransport
from gateway.outbound.api import Retries, WeChatApi
from gateway.outbound.credentials import Credentials, StableToken
from gateway.outbound.tokens import Tokens

Send = Callable[[int], Awaitable[None]]
AsyncClient = Callable[[Order], AbstractAsyncContextManager[Send]]
ThreadClient = Callable[[Order], Callable[[int], None]]

_JSON: Final = {"content-type": "application/json"}
_SECONDS: Final = 10.0


@asynccontextmanager
async def gateway(order: Order) -> AsyncIterator[Send]:
    """The gateway's own: its tokens, its errors, and the transport below them."""
    transport = WeChatTransport(order.url, Phases(), connections=order.in_flight)
    source = StableToken(WeChatApi(transport, None), Credentials(APP_ID, SECRET), time.time)
    tokens = Tokens(APP_ID, source, MemoryTokens(), clock=time.time)
    api = WeChatApi(transport, tokens, Retries(tries=1))

    async def send(number: int) -> None:
        await api.post(PATH, body(number), repeatable=True)

    try:
        yield send
    finally:
        await tokens.close()
        await transport.close()


@asynccontextmanager
async def by_aiohttp(order: Order) -> AsyncIterator[Send]:
    """One session of aiohttp, its URL made once."""
    url = URL(order.address, encoded=True)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send(number: int) -> None:
            async with session.post(url, data=body(number), headers=_JSON) as answer:
                check(await answer.read())

        yield send


@asynccontextmanager
async def by_httpx(order: Order) -> AsyncIterator[Send]:
    """httpx, its URL made once, with as many connections as it wants."""
    httpx: Any = import_module("httpx")
    url = httpx.URL(order.address)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=_SECONDS) as client:

        async def send(number: int) -> None:
            answer = await client.post(url, content=body(number), headers=_JSON)
            check(answer.content)

        yield send


@asynccontextmanager
async def by_pyreqwest(order: Order) -> AsyncIterator[Send]:
    """pyreqwest, with as many connections as it wants."""
    builder: Any = import_module("pyreqwest.client").ClientBuilder()
    built = builder.timeout(timedelta(seconds=_SECONDS)).default_headers(_JSON).build()
    async with built as client:

        async def send(number: int) -> None:
            request = client.post(order.address).body_bytes(body(number)).build()
            check(bytes(await (await request.send()).bytes()))

        yield send


def by_wechatpy(order: Order) -> Callable[[int], None]:
    """A client of wechatpy, with a kept connection for each thread: by default it keeps ten."""
    wechatpy: Any = import_module("wechatpy")
    adapters: Any = import_module("requests.adapters")
    client = wechatpy.WeChatClient(APP_ID, SECRET, access_token=order.token)
    client.API_BASE_URL = f"{order.url}/cgi-bin/"
    kept = adapters.HTTPAdapter(pool_connections=1, pool_maxsize=order.in_flight)
    client._http.mount("http://", kept)  # noqa: SLF001  # it has no other way in

    def send(number: int) -> None:
        # What send_template calls, without its warning of a deprecated name each time.
        client.message.send_template(open_id(number), TEMPLATE_ID, data(number))

    return send


ASYNC: Final[Mapping[str, AsyncClient]] = {
    "gateway": gateway,
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
    "pyreqwest": by_pyreqwest,
}

THREADS: Final[Mapping[str, ThreadClient]] = {"wechatpy": by_wechatpy}
