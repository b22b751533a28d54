"""ASGI over RSGI: lets an ASGI app answer what Granian hands over by its own interface."""

from collections.abc import AsyncIterator
from typing import Any

from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # without saying so
from litestar.types import ASGIApp

from gateway.http.rsgi_request import declared_size


async def bridge(app: ASGIApp, scope: Scope, protocol: HTTPProtocol) -> None:
    """Let an ASGI app answer an RSGI request, in one piece or, where it streams, in many."""
    exchange = _Exchange(protocol, declared_size(scope) or 0)
    await app(_asgi_scope(scope), exchange.receive, exchange.send)


class _Exchange:
    """ASGI's receive and send over one RSGI request."""

    def __init__(self, protocol: HTTPProtocol, declared: int) -> None:
        """``declared`` is what Content-Length says; 0 where it says nothing."""
        self._protocol = protocol
        self._left = declared
        self._body: AsyncIterator[bytes] | None = aiter(protocol)
        """What is still to be read; None behind the last part."""
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._stream: Any = None

    async def receive(self) -> Any:
        if self._body is not None:
            part = await anext(self._body, b"")
            self._left -= len(part)
            if not part:
                self._body = None
            # Granian ends a body in the same way where its client went away in the middle.
            if part or self._left <= 0:
                return {"type": "http.request", "body": part, "more_body": bool(part)}
        else:
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
