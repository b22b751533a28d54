"""A network that fails: a TCP proxy that cuts, delays, stalls or truncates what passes it."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_CHUNK = 65_536


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    left: int | None
    """Bytes that may still pass to the client; None: any number."""

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class TcpProxy:
    """A proxy to a port of 127.0.0.1, on a port of its own; runs in a thread of its own.

    Its methods may be called from any thread, inside an event loop or not.
    """

    port: int
    _loop: asyncio.AbstractEventLoop
    _server: asyncio.Server

    def __init__(self, target: int) -> None:
        """``target`` is the server's port."""
        self._target = target
        self._delay = 0.0
        self._left: int | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._started = threading.Event()

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything."""
        self._do(self._stopped.set)
        self._thread.join()

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""

        def cut() -> None:
            self._server.close()
            self._cut_links()

        self._do(cut)

    def stall(self) -> None:
        """Take connections and keep back whatever comes, until it is mended."""
        self._do(self._flows.clear)

    def delay(self, seconds: float) -> None:
        """Pass on each piece so much later, in both directions."""
        self._delay = seconds

    def truncate(self, count: int) -> None:
        """Let so many more bytes pass to the client of each connection, then close it.

        The server has done by then what it was asked, and the client does not learn it.
        """

        def truncate() -> None:
            self._left = count
            for link in self._links:
                link.left = count

        self._do(truncate)

    def mend(self) -> None:
        """Be a sound network again; what was kept back goes on its way."""

        async def mend() -> None:
            self._delay, self._left = 0.0, None
            for link in self._links:
                link.left = None
            self._flows.set()
            if not self._server.is_serving():
                self._server = await self._listen()

        asyncio.run_coroutine_threadsafe(mend(), self._loop).result()

    def _do(self, what: Callable[[], None]) -> None:
        async def do() -> None:
            what()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped, self._flows = asyncio.Event(), asyncio.Event()
        self._flows.set()
        self.port = 0
        self._server = await self._listen()
        self.port = self._server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopped.wait()
        self._server.close()
        self._cut_links()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        link = _Link(writer, server, self._left)
        self._links.add(link)
        ways = [
            asyncio.create_task(self._pass_on(reader, server)),
            asyncio.create_task(self._pass_on(from_server, writer, link)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            server.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: _Link | None = None,
    ) -> None:
        """Pass on what comes; towards the client, with its link, no more than may pass."""
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            await asyncio.sleep(self._delay)
            if link is not None and link.left is not None:
                data = data[: link.left]
                link.left -= len(data)
            writer.write(data)
            await writer.drain()
            if link is not None and link.left == 0:
                return

    def _cut_links(self) -> None:
        for link in self._links:
            link.cut()
