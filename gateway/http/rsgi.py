"""The whole app over RSGI, Granian's own interface: callbacks at its full speed, the rest by ASGI.

ASGI costs a callback about as much as all of the gateway's own work (bench/README.md): two more
turns of the event loop, and dictionaries and lists that nobody asked for. So callbacks are
answered straight from RSGI, where it can be without a task each (direct.py); every other request is
handed to the Litestar app over a small bridge.
"""

import asyncio

from granian.rsgi import (  # type: ignore[attr-defined]  # re-exported without saying so
    HTTPProtocol,
    ProtocolClosed,
    Scope,
)
from litestar import Litestar
from litestar.types import Receive, Send
from litestar.types import Scope as AsgiScope

from gateway.http.asgi import is_callback
from gateway.http.bridge import bridge
from gateway.http.callback import CallbackEndpoint
from gateway.http.direct import Direct
from gateway.http.rsgi_request import RsgiRequest


class GatewayApp:
    """The Litestar app and its RSGI face in one object: servers of either kind can run it."""

    def __init__(
        self, litestar: Litestar, endpoint: CallbackEndpoint, *, direct: bool = True
    ) -> None:
        """``direct`` tells whether callbacks go without a task each where Granian lets them."""
        self.litestar = litestar
        self._endpoint = endpoint
        self._direct = Direct(endpoint) if direct else None
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Run as ASGI."""
        await self.litestar(scope, receive, send)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's start-up before the first request; what it raises ends the process."""
        if self._direct is not None:
            self._direct.install(self.__rsgi__)
        started = loop.create_future()
        self._life = loop.create_task(self._live(started))
        loop.run_until_complete(started)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the app's shutdown behind the last request."""
        self._stop.set()
        if self._direct is not None:
            self._direct.close()
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
            if is_callback(path):
                request = RsgiRequest(scope, protocol, scope.method, path)
                await self._endpoint.answer(request)
            else:
                await bridge(self.litestar, scope, protocol)
        except ProtocolClosed:
            # The client went away, and there is nobody left to answer.
            return
