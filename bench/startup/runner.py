"""One run: each row started, asked and ended in each round."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.load.callbacks import CallbackSet, Check, echo_check
from bench.load.cores import Cores, choose_cores, pinned
from bench.load.scratch import scratch
from bench.load.servers import Row, check_installed
from bench.startup.first_answer import START_TIMEOUT, TimedServer

_LEEWAY: Final = 600
"""Seconds that the callbacks' timestamps may be older than a run's starts can make them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    rows: list[Row]
    rounds: int = 5

    @property
    def timestamp_window(self) -> int:
        """Seconds within which every callback of the run is sent, signed as they are at once."""
        return _LEEWAY + round(2 * START_TIMEOUT) * len(self.rows) * (self.rounds + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of one row."""

    row: str
    round: int
    """0 is the first start, which finds its files on the disk, and does not count."""
    seconds: float
    cpu: float | None
    """CPU seconds of all its processes until then."""
    others: float | None
    """What something else took of the server's core until then, in percent; None: not known."""
    resident: int
    error: str
    """What was wrong with the answer; empty where nothing was."""


def run(plan: Plan, progress: Callable[[Start], None]) -> tuple[list[Start], Cores]:
    """Start each row once a round, and once before; tell of each start as it is made."""
    check_installed(plan.rows)
    cores = choose_cores()
    starts = []
    with scratch() as directory, pinned(cores.generator):
        count = plan.rounds + 1
        callbacks = CallbackSet(directory / "callbacks", count, int(time.time()))
        requests, check = callbacks.requests(), echo_check(callbacks)
        for number in range(count):
            # Each server has a store of its own, which does not know the callback yet.
            index, request = next(requests)
            for row in plan.rows:
                with TimedServer(row, cores.server, plan.timestamp_window, request) as server:
                    start = _start(number, row, server, check, index)
                starts.append(start)
                progress(start)
    return starts, cores


def _start(number: int, row: Row, server: TimedServer, check: Check, index: int) -> Start:
    answer = server.answer
    if answer.status == 200:
        fault = check(answer.body, index)
        error = f"{fault.kind}: {fault.why}" if fault else ""
    else:
        error = f"non-200: {answer.status}: {answer.body[:80]!r}"
    return Start(
        row=row.name,
        round=number,
        seconds=server.seconds,
        cpu=server.cpu,
        others=server.others,
        resident=server.resident,
        error=error,
    )
