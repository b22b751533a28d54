"""Somebody's endpoint, which events are forwarded to: it fails now and then."""

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from aiohttp import web
from standardwebhooks import Webhook

from tests.services import free_port

SECRET: Final = "whsec_" + base64.b64encode(b"of the drill, for this machine").decode()


class Endpoint:
    """Counts the events that it took, by their users."""

    def __init__(self, random: Random) -> None:
        self.port = free_port()
        self.users: Counter[str] = Counter()
        self._random = random

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            Webhook(SECRET).verify(body, dict(request.headers))
            if self._random.random() < 0.1:
                return web.Response(status=503)
            self.users[json.loads(body)["subject"]] += 1
        return web.Response()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Endpoint"]:
        """Serve within the block."""
        runner = web.ServerRunner(web.Server(self._handle))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            yield self
        finally:
            await runner.cleanup()
