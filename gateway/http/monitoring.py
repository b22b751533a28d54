"""Health and metrics on an address of their own, which no caller of callbacks reaches.

Served by aiohttp in the process's own event loop: Granian serves one app on one address, and
``gateway worker`` has no other server at all.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from gateway.http.health import LIVE, METRICS, READY, Monitor, Told

TRIES_SECONDS: Final = 2.0
"""Between two tries of an address that another worker of this gateway has."""


class MonitoringServer:
    """Listens on an address, as soon as nobody else does."""

    def __init__(self, monitor: Monitor, host: str, port: int) -> None:
        self._runner = web.AppRunner(_app(monitor), access_log=None, shutdown_timeout=1.0)
        self._host = host
        self._port = port
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; where another worker does, when that one is gone."""
        await self._runner.setup()
        if not await self._listen():
            self._listening = asyncio.create_task(self._keep_trying())

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        await self._runner.cleanup()

    async def _keep_trying(self) -> None:
        while True:
            await asyncio.sleep(TRIES_SECONDS)
            if await self._listen():
                return

    async def _listen(self) -> bool:
        try:
            await web.TCPSite(self._runner, self._host, self._port, reuse_port=False).start()
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE:
                raise
            return False
        return True


def _app(monitor: Monitor) -> web.Application:
    async def live(_request: web.Request) -> web.Response:
        return _json(monitor.live())

    async def ready(_request: web.Request) -> web.Response:
        return _json(await monitor.ready())

    async def metrics(_request: web.Request) -> web.Response:
        counted = await monitor.metrics()
        if counted is None:
            return web.Response(status=404)
        return web.Response(body=counted, headers={"content-type": monitor.content_type})

    app = web.Application()
    handlers: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
        LIVE: live,
        READY: ready,
        METRICS: metrics,
    }
    for path, handler in handlers.items():
        app.router.add_get(path, handler)
    return app


def _json(told: Told) -> web.Response:
    body = msgspec.json.encode(told.body)
    return web.Response(body=body, status=told.status, content_type="application/json")
