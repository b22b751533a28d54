"""The callback endpoint as a plain ASGI callable, mounted in the Litestar app at /wechat.

A typed handler would cost twice as much: it builds a request object and a response for each call.
"""

from functools import partial
from typing import cast

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.http.callback import NOT_ALLOWED, NOT_FOUND, Answer, CallbackEndpoint

PATH = "/wechat"


def callback_route(endpoint: CallbackEndpoint) -> ASGIRouteHandler:
    """Return the route that serves /wechat and /wechat/{account}."""

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def callback(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _answer(endpoint, cast("HTTPScope", scope), receive)
        headers = [(b"content-length", b"%d" % len(answer.body))]
        if answer.media_type:
            headers.append((b"content-type", answer.media_type.encode()))
        if answer is NOT_ALLOWED:
            headers.append((b"allow", b"GET, POST"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    return callback


async def _answer(endpoint: CallbackEndpoint, scope: HTTPScope, receive: Receive) -> Answer:
    # Litestar leaves the path behind the mount: "/" or "/main/"; "foo/" of /wechatfoo.
    path = scope["path"]
    if not path.startswith("/"):
        return NOT_FOUND
    return await endpoint.answer(
        scope["method"],
        path.strip("/"),
        scope["query_string"],
        partial(_read, receive),
        partial(_find_header, scope),
    )


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return the whole body, or None as soon as it is longer than ``limit`` bytes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            # The client went away: what came is not a whole body, and will be refused as such.
            break
        chunk = event.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        if not event.get("more_body", False):
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _find_header(scope: HTTPScope, name: str) -> str | None:
    wanted = name.encode()
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == wanted), None)
