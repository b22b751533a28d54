"""What Granian does by itself: the body is read, `success` is answered. Nobody gets above it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from granian.rsgi import Scope

_Event = MutableMapping[str, Any]


class _HTTPProtocol(Protocol):
    """What is used of Granian's own class, which its public modules do not export by type."""

    async def __call__(self) -> bytes: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


async def rsgi(_scope: Scope, protocol: _HTTPProtocol) -> None:
    """Answer over Granian's own interface."""
    await protocol()
    protocol.response_bytes(200, [("content-type", "text/plain")], b"success")


async def asgi(
    scope: _Event,
    receive: Callable[[], Awaitable[_Event]],
    send: Callable[[_Event], Awaitable[None]],
) -> None:
    """Answer over ASGI."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"7")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"success"})
