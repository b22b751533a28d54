"""The whole app over RSGI, Granian's own interface: callbacks at its full speed, the rest by ASGI.

ASGI costs a callback about as much as all of the gateway's own work (bench/README.md): two more
turns of the event loop, and dictionaries and lists that nobody asked for. So callbacks are
answered straight from RSGI; every other request is handed to the Litestar app over a small bridge.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from granian.rsgi import (  # type: ignore[attr-defined]  # re-exported without saying so
    HTTPProtocol,
    ProtocolClosed,
    Scope,
)
from litestar import Litestar
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as AsgiScope

from gateway.http.asgi import PATH
from gateway.http.callback import NOT_ALLOWED, Answer, CallbackEndpoint, Request


class GatewayApp:
    """The Litestar app and its RSGI face in one object: servers of either kind can run it."""

    def __init__(self, litestar: Litestar, endpoint: CallbackEndpoint) -> None:
        self.litestar = litestar
        self._endpoint = endpoint
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Run as ASGI."""
        await self.litestar(scope, receive, send)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's start-up before the first request; what it raises ends the process."""
        started = loop.create_future()
        self._life = loop.create_task(self._live(started))
        loop.run_until_complete(started)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's shutdown behind the last request."""
        self._stop.set()
        if self._life is not None:
            loop.run_until_complete(self._life)

    async def _live(self, started: asyncio.Future[None]) -> None:
        """Hold the lifespan open in one task, as its contexts may ask for."""
        try:
            async with self.litestar.lifespan():
                started.set_result(None)
                await self._stop.wait()
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        path = scope.path
        try:
            if path == PATH or path.startswith(f"{PATH}/"):
                await self._endpoint.answer(_RsgiRequest(scope, protocol))
            else:
                await bridge(self.litestar, scope, protocol)
        except ProtocolClosed:
            # The client went away, and there is nobody left to answer.
            return


class _RsgiRequest(Request):
    """A callback as Granian hands it over."""

    __slots__ = ("_protocol", "_scope")

    def __init__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        query = scope.query_string.encode("utf-8", "surrogateescape")
        super().__init__(scope.method, scope.path[len(PATH) :].strip("/"), query)
        self._scope = scope
        self._protocol = protocol

    async def read(self, limit: int) -> bytes | None:
        declared: str | None = self._scope.headers.get("content-length")
        if declared is not None and declared.isdecimal() and len(declared) < 20:
            return await self._protocol() if int(declared) <= limit else None
        chunks = []
        size = 0
        async for chunk in self._protocol:
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def header(self, name: str) -> str | None:
        found: str | None = self._scope.headers.get(name)
        return found

    def send(self, answer: Answer) -> None:
        headers = [("content-type", answer.media_type)] if answer.media_type else []
        if answer is NOT_ALLOWED:
            headers.append(("allow", "GET, POST"))
        self._protocol.response_bytes(answer.status, headers, answer.body)


async def bridge(app: ASGIApp, scope: Scope, protocol: HTTPProtocol) -> None:
    """Let an ASGI app answer an RSGI request, in one piece or, where it streams, in many."""
    exchange = _Exchange(protocol)
    await app(_asgi_scope(scope), exchange.receive, exchange.send)


class _Exchange:
    """ASGI's receive and send over one RSGI request."""

    def __init__(self, protocol: HTTPProtocol) -> None:
        self._protocol = protocol
        self._body: AsyncIterator[bytes] | None = aiter(protocol)
        """What is still to be read; None behind the last part."""
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._stream: Any = None

    async def receive(self) -> Any:
        if self._body is not None:
            part = await anext(self._body, b"")
            if not part:
                self._body = None
            return {"type": "http.request", "body": part, "more_body": bool(part)}
        await self._protocol.client_disconnect()
        return {"type": "http.disconnect"}

    async def send(self, event: Any) -> None:
        if event["type"] == "http.response.start":
            self._status = event["status"]
            self._headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in event.get("headers", ())
            ]
            return
        body = event.get("body", b"")
        if self._stream is None and not event.get("more_body", False):
            self._protocol.response_bytes(self._status, self._headers, body)
            return
        if self._stream is None:
            self._stream = self._protocol.response_stream(self._status, self._headers)
        if body:
            await self._stream.send_bytes(body)
        if not event.get("more_body", False):
            # The response ends where Granian's transport is let go of.
            self._stream = None


def _asgi_scope(scope: Scope) -> Any:
    host, _, port = scope.client.rpartition(":")
    server, _, server_port = scope.server.rpartition(":")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "query_string": scope.query_string.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in scope.headers.items()
        ],
        "client": (host, int(port)) if port.isdecimal() else None,
        "server": (server, int(server_port)) if server_port.isdecimal() else None,
        "state": {},
        "extensions": {},
    }
