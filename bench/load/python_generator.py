"""The load from Python: raw HTTP/1.1 on uvloop, which knows what each reply answers."""

import asyncio
import gc
import re
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from statistics import quantiles
from typing import Final, cast

from bench.load.callbacks import CallbackSet
from bench.load.cores import UsageMeter
from bench.load.generator import HOST, REPLY_TIMEOUT, Answer, Load

_HEAD_END: Final = b"\r\n\r\n"
_find_length: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE).search
_RETRY: Final = 0.01
"""Seconds before a broken connection is opened anew."""


class PythonGenerator:
    """Runs within this process; slower than wrk, but no reply is taken for another's."""

    name = "python"

    def run(
        self,
        port: int,
        callbacks: CallbackSet,
        *,
        start: int,
        seconds: int,
        connections: int,
        meter: UsageMeter,
    ) -> Load:
        """Send the callbacks from index ``start`` on, for some seconds."""
        run = _Run(port, callbacks, start)
        collected = gc.isenabled()
        gc.disable()
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(run.play(seconds, connections, meter))
        finally:
            if collected:
                gc.enable()
        return run.load()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory


class _Run:
    """One run: what is shared by its connections."""

    def __init__(self, port: int, callbacks: CallbackSet, start: int) -> None:
        self._port = port
        self.requests = callbacks.requests(start)
        self.answers: list[Answer] = []
        self.latencies: list[float] = []
        self.sent = 0
        self.socket_errors = 0
        self.timeouts = 0
        self.over = False
        self._seconds = 0.0
        self._under_way: set[_Connection] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._all_answered = asyncio.Event()

    async def play(self, seconds: int, connections: int, meter: UsageMeter) -> None:
        """Send for some seconds, then wait for the replies that are still to come."""
        meter.start(time.process_time)
        began = time.perf_counter()
        for _ in range(connections):
            self.open()
        await asyncio.sleep(seconds)
        self.over = True
        self._seconds = time.perf_counter() - began
        meter.stop()
        if self._under_way:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), REPLY_TIMEOUT)
        self.timeouts += len(self._under_way)
        for connection in list(self._under_way):
            connection.end()
        for task in self._openings:
            task.cancel()

    def open(self, delay: float = 0) -> None:
        """Open a connection, after a delay in seconds."""
        task = asyncio.get_running_loop().create_task(self._open(delay))
        self._openings.add(task)
        task.add_done_callback(self._openings.discard)

    async def _open(self, delay: float) -> None:
        await asyncio.sleep(delay)
        if self.over:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self), HOST, self._port)
        except OSError:
            self.socket_errors += 1
            self.open(_RETRY)

    def next_request(self, connection: "_Connection") -> tuple[int, bytes]:
        """Hand out the next callback; the connection owes a reply from now on."""
        self.sent += 1
        self._under_way.add(connection)
        return next(self.requests)

    def answered(self, connection: "_Connection", answer: Answer, latency: float) -> None:
        """Take down a reply and its latency in seconds."""
        self._settle(connection)
        self.answers.append(answer)
        if latency > REPLY_TIMEOUT:
            self.timeouts += 1
        if not self.over:
            self.latencies.append(latency)

    def _settle(self, connection: "_Connection") -> None:
        """Owe the connection nothing more."""
        self._under_way.discard(connection)
        if self.over and not self._under_way:
            self._all_answered.set()

    def closed(self, connection: "_Connection") -> None:
        """Take down a connection's end: an error if it owed a reply."""
        if connection in self._under_way:
            self._settle(connection)
            if not connection.ended:
                self.socket_errors += 1
        if not self.over:
            self.open(_RETRY)

    def load(self) -> Load:
        """Return what was seen."""
        percentiles = [0.0] * 99
        if len(self.latencies) > 1:
            percentiles = quantiles(self.latencies, n=100, method="inclusive")
        return Load(
            seconds=self._seconds,
            requests=len(self.latencies),
            sent=self.sent,
            p50_ms=percentiles[49] * 1e3,
            p99_ms=percentiles[98] * 1e3,
            answers=self.answers,
            socket_errors=self.socket_errors,
            timeouts=self.timeouts,
            lost=0,
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._index = 0
        self._sent_at = 0.0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if self._run.over:
            self.end()
            return
        self._received = b""
        self._index, request = self._run.next_request(self)
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_HEAD_END)
        if not end:
            return
        length = _find_length(head)
        if length is None:
            # Closing with a reply owed makes it count as a socket error.
            self._transport.close()
        elif len(body) >= int(length[1]):
            answer = Answer(self._index, int(head[9:12]), body)
            self._run.answered(self, answer, time.perf_counter() - self._sent_at)
            self._send()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._run.closed(self)

    def end(self) -> None:
        """Close the connection; what it still owes is no error of the socket's."""
        self.ended = True
        self._transport.close()
