"""A server that is ready when it answered a callback, and how long that took it."""

import re
import socket
import time
from typing import Final

from bench.load.cores import busy_clock, cpu_seconds, processes_of_group
from bench.load.generator import HOST, Answer, LoadError
from bench.load.servers import Row, Server
from bench.resident import largest

START_TIMEOUT: Final = 20.0
"""Seconds within which there must be an answer."""

_POLL: Final = 0.002
"""Seconds from one try to connect to the next."""

_HEAD_END: Final = b"\r\n\r\n"
_find_length: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE).search


class TimedServer(Server):
    """A started server that gave its first answer; times are in seconds from just before it ran."""

    def __init__(self, row: Row, core: int | None, timestamp_window: int, request: bytes) -> None:
        """``request`` is sent as soon as something listens."""
        super().__init__(row, core, timestamp_window)
        self._request = request
        self._began = 0.0
        self._busy = busy_clock(core)
        self._busy_before: float | None = None
        self.answer = Answer(None, 0, b"")
        self.seconds = 0.0
        self.cpu: float | None = None
        """What all its processes took, in seconds; None where it cannot be read."""
        self.others: float | None = None
        """What something else took of its core meanwhile, in percent; None where not known."""
        self.resident = 0
        """Bytes of the process that answered."""

    def _start(self) -> None:
        # Not before: the store beside it is started by then.
        self._busy_before = self._busy()
        self._began = time.perf_counter()
        super()._start()

    def _wait_until_ready(self) -> None:
        # Health is not asked: it is another route, and a question more.
        while (answer := ask(self.port, self._request)) is None:
            if (code := self._process.poll()) is not None:
                raise LoadError(f"{self._row.name} did not start (exit {code}):\n{self.said()}")
            if time.perf_counter() - self._began > START_TIMEOUT:
                raise LoadError(f"{self._row.name} gave no answer in {START_TIMEOUT:.0f} s")
            time.sleep(_POLL)
        self.seconds = time.perf_counter() - self._began
        self.answer = answer
        self.cpu = cpu_seconds(processes_of_group(self.pid))
        self.others = self._others()
        _, self.resident = largest(self.pid)

    def _others(self) -> float | None:
        busy = self._busy()
        if busy is None or self._busy_before is None or self.cpu is None:
            return None
        return max(0.0, round(100 * (busy - self._busy_before - self.cpu) / self.seconds, 1))


def ask(port: int, request: bytes) -> Answer | None:
    """Return the answer to a request; None where nobody listens, or who did went away."""
    received = b""
    try:
        with socket.create_connection((HOST, port), timeout=START_TIMEOUT) as connection:
            connection.sendall(request)
            while not _is_whole(received):
                if not (more := connection.recv(65_536)):
                    return None
                received += more
    except OSError:
        return None
    head, _, body = received.partition(_HEAD_END)
    return Answer(None, int(head[9:12]), body)


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(_HEAD_END)
    length = _find_length(head)
    return bool(end) and length is not None and len(body) >= int(length[1])
