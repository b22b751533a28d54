"""The callback endpoint as a plain ASGI callable, mounted in the Litestar app at /wechat.

A typed handler would cost twice as much: it builds a request object and a response for each call.
"""

import asyncio
from typing import Final, cast

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.http.callback import NOT_FOUND, Answer, CallbackEndpoint, Request

PATH: Final = "/wechat"
_BELOW: Final = f"{PATH}/"


def is_callback(path: str) -> bool:
    """Tell whether a path is the callback's, with or without an account's name."""
    return path.startswith(_BELOW) or path == PATH


def callback_route(endpoint: CallbackEndpoint) -> ASGIRouteHandler:
    """Return the route that serves /wechat and /wechat/{account}."""
    # A task that nothing holds may be collected while it runs; a handler may outlast its request.
    running: set[asyncio.Task[None]] = set()

    @asgi(PATH, is_mount=True, copy_scope=False)
    async def callback(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _answer(endpoint, cast("HTTPScope", scope), receive, running)
        headers = [(b"content-length", b"%d" % len(answer.body))]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    return callback


async def _answer(
    endpoint: CallbackEndpoint,
    scope: HTTPScope,
    receive: Receive,
    running: set[asyncio.Task[None]],
) -> Answer:
    # Litestar leaves the path behind the mount: "/" or "/main/"; "foo/" of /wechatfoo.
    if not scope["path"].startswith("/"):
        return NOT_FOUND
    request = _AsgiRequest(scope, receive)
    # In a task of its own, because the answer may come before the handler is done.
    task = asyncio.create_task(endpoint.answer(request))
    running.add(task)
    task.add_done_callback(running.discard)
    task.add_done_callback(request.end)
    return await request.sent


class _AsgiRequest(Request):
    """A callback as an ASGI server hands it over."""

    __slots__ = ("_receive", "_scope", "sent")

    def __init__(self, scope: HTTPScope, receive: Receive) -> None:
        super().__init__(scope["method"], scope["path"].strip("/"), scope["query_string"])
        self._scope = scope
        self._receive = receive
        self.sent: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def read(self, limit: int) -> bytes | None:
        chunks: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] != "http.request":
                # The client went away: what came is no whole body, and will be refused as such.
                break
            chunk = event.get("body", b"")
            size += len(chunk)
            if size > limit:
                return None
            chunks.append(chunk)
            if not event.get("more_body", False):
                break
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def header(self, name: str) -> str | None:
        wanted = name.encode()
        return next((v.decode("latin-1") for k, v in self._scope["headers"] if k == wanted), None)

    def send(self, answer: Answer) -> None:
        if not self.sent.done():
            self.sent.set_result(answer)

    def end(self, task: asyncio.Task[None]) -> None:
        """Pass on why there will be no answer, where there is none."""
        if not self.sent.done():
            error = None if task.cancelled() else task.exception()
            self.sent.set_exception(error or RuntimeError("no answer"))
