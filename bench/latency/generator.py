"""An open-loop generator: callbacks fall due at fixed times, whether or not others were answered.

Latency counts from the due time. What falls due while a server stalls, or while no connection is
free, therefore has its wait in the figures; a generator that sends the next callback when the last
one was answered would leave it out ("coordinated omission").
"""

import asyncio
import gc
import re
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import uvloop

from bench.latency.ticks import ticking
from bench.load.callbacks import CallbackSet
from bench.load.cores import UsageMeter
from bench.load.generator import HOST, Answer, Load
from bench.percentiles import percentiles

ANSWER_WITHIN: Final = 5.0
"""Seconds that WeChat waits for an answer; a later one counts as a timeout."""

FIRST_CONNECTIONS: Final = 32
"""Opened before the first callback is due."""

_HEAD_END: Final = b"\r\n\r\n"
_find_length: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE).search
_RETRY: Final = 0.01
"""Seconds before connections are opened again, where one could not be."""

_LEAD: Final = 0.05
"""Seconds between the start and the first due time."""


class Schedule:
    """When each callback is due: evenly spaced, from a moment of ``time.perf_counter`` on."""

    def __init__(self, began: float, rate: float, seconds: float) -> None:
        """``rate`` is in callbacks per second."""
        self._began = began
        self._rate = rate
        self.count = max(1, round(rate * seconds))

    def due(self, number: int) -> float:
        """Return when a callback is due, counted from 0."""
        return self._began + number / self._rate

    def due_by(self, now: float) -> int:
        """Return how many are due by a moment."""
        # One more than it comes to: division and product differ in the last digit, due() decides.
        number = max(0, min(self.count, int((now - self._began) * self._rate) + 2))
        while number and self.due(number - 1) > now:
            number -= 1
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoad:
    """What a run saw; milliseconds are counted from when a callback was due."""

    load: Load
    """In the terms of `bench.load`, for its check of the replies."""
    latency_ms: dict[str, float]
    lag_ms: dict[str, float]
    """How late the generator itself was with those callbacks that found a free connection."""
    waited: int
    """Callbacks that waited for a connection, all being owed a reply."""
    connections: int
    """Open at most."""
    cpu: float
    """What the generator itself took of its core, in percent."""


def run(  # noqa: PLR0913  # what a measurement is made of, all by name
    port: int,
    callbacks: CallbackSet,
    *,
    start: int,
    rate: float,
    seconds: float,
    connections: int,
    meter: UsageMeter,
    warm_up: float = 0.0,
) -> OpenLoad:
    """Send callbacks from index ``start`` on at ``rate`` per second, over ``connections`` at most.

    Every callback that is due is sent, or counted as lost. So many seconds of ``warm_up`` come
    first, in which connections are opened; their replies are kept to be checked, not their times.
    """
    sending = _Run(port, callbacks.requests(start), connections)
    collected = gc.isenabled()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(sending.play(rate, seconds, meter, warm_up))
    finally:
        if collected:
            gc.enable()
    return sending.result()


class _Run:
    """One run: what its connections share."""

    def __init__(self, port: int, requests: Iterator[tuple[int, bytes]], most: int) -> None:
        self._port = port
        self._requests = requests
        self._most = most
        self._schedule = Schedule(0, 1, 1)
        self._next = 0
        self._waiting = 0
        """Those before this number were due when no connection was free."""
        # The one that was idle longest is used first: else those at the end would be idle so long
        # that the server closes them, perhaps while something is sent.
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._openings: set[asyncio.Task[None]] = set()
        self._all_answered = asyncio.Event()
        self._under_way = 0
        self._answers: list[Answer] = []
        self._latencies = array("d")
        self._lags = array("d")
        self._waited = self._timeouts = self._socket_errors = self._peak = 0
        self._seconds = self._cpu = self._open_again = 0.0
        self._timed_from = 0.0
        self._over = False

    async def play(
        self, rate: float, seconds: float, meter: UsageMeter, warm_up: float = 0.0
    ) -> None:
        """Send what is due for some seconds, then wait for the answers still to come."""
        self._open_more(min(FIRST_CONNECTIONS, self._most))
        await asyncio.wait(list(self._openings))
        began = time.perf_counter() + _LEAD
        self._timed_from = began + warm_up
        self._schedule = Schedule(began, rate, warm_up + seconds)
        with ticking(self.send_due):
            await asyncio.sleep(_LEAD + warm_up)
            meter.start(time.process_time)
            cpu, started = time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            self._seconds = time.perf_counter() - started
            self._cpu = 100 * (time.process_time() - cpu) / self._seconds
            meter.stop()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_answered.wait(), ANSWER_WITHIN)
        self._over = True
        self._timeouts += self._under_way
        for task in self._openings:
            task.cancel()
        for connection in list(self._open):
            connection.end()

    def send_due(self) -> None:
        """Send what is due, as far as connections are free; open more for the rest."""
        now = time.perf_counter()
        due = self._schedule.due_by(now)
        while self._next < due and self._idle:
            self._send(self._idle.popleft())
        if self._next < due:
            self._waiting = max(self._waiting, due)
            wanted = due - self._next - len(self._openings)
            if now >= self._open_again:
                self._open_more(min(wanted, self._most - len(self._open) - len(self._openings)))

    def _send(self, connection: "_Connection") -> None:
        due = self._schedule.due(self._next)
        if due < self._timed_from:
            pass
        elif self._next < self._waiting:
            self._waited += 1
        else:
            self._lags.append(time.perf_counter() - due)
        self._next += 1
        self._under_way += 1
        index, request = next(self._requests)
        connection.send(index, due, request)

    def _open_more(self, count: int) -> None:
        for _ in range(count):
            task = asyncio.get_running_loop().create_task(self._connect())
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Connection(self), HOST, self._port)
        except OSError:
            self._socket_errors += 1
            self._open_again = time.perf_counter() + _RETRY

    def opened(self, connection: "_Connection") -> None:
        """Take in a new connection."""
        self._open.add(connection)
        self._peak = max(self._peak, len(self._open))
        self.free(connection)

    def free(self, connection: "_Connection") -> None:
        """Take a connection that owes nothing; what waited for one goes first."""
        if self._next < self._waiting:
            self._send(connection)
        else:
            self._idle.append(connection)

    def answered(self, answer: Answer, due: float) -> None:
        """Take down a reply."""
        latency = time.perf_counter() - due
        self._answers.append(answer)
        if due >= self._timed_from:
            self._latencies.append(latency)
        self._timeouts += latency > ANSWER_WITHIN
        self._settle()

    def closed(self, connection: "_Connection", *, owing: bool) -> None:
        """Take down a connection's end: an error where it owed a reply."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if owing and not self._over:
            self._socket_errors += 1
            self._settle()

    def _settle(self) -> None:
        self._under_way -= 1
        if self._next == self._schedule.count and not self._under_way:
            self._all_answered.set()

    def result(self) -> OpenLoad:
        """Return what was seen."""
        latency = percentiles(1e3 * seconds for seconds in self._latencies)
        return OpenLoad(
            load=Load(
                seconds=self._seconds,
                requests=len(self._latencies),
                sent=self._next,
                p50_ms=latency["p50"],
                p99_ms=latency["p99"],
                answers=self._answers,
                socket_errors=self._socket_errors,
                timeouts=self._timeouts,
                lost=self._schedule.count - self._next,
            ),
            latency_ms=latency,
            lag_ms=percentiles(1e3 * seconds for seconds in self._lags),
            waited=self._waited,
            connections=self._peak,
            cpu=self._cpu,
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection, free or with one request under way."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._index = 0
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._run.opened(self)

    def send(self, index: int, due: float, request: bytes) -> None:
        """Send a callback; a reply is owed from now on."""
        self._received = b""
        self._index, self._due = index, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_HEAD_END)
        if not end:
            return
        length = _find_length(head)
        if length is None or self._due is None:
            # Closing with a reply owed makes it count as a socket error.
            self._transport.close()
        elif len(body) >= int(length[1]):
            due, self._due = self._due, None
            self._run.answered(Answer(self._index, int(head[9:12]), body), due)
            self._run.free(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._run.closed(self, owing=self._due is not None)

    def end(self) -> None:
        """Close the connection."""
        self._transport.close()
