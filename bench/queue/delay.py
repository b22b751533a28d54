"""How soon a message is received after it was queued, while they come at a rate."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bench.load.cores import Cores, pinned
from bench.percentiles import percentiles
from bench.push.platform import name_of, simulated_platform
from bench.push.worker import Stored, WorkerSide, make_job, until_sent
from bench.resident import largest

_TICK: Final = 0.02
"""Seconds between two additions to the queue."""
_IN_FLIGHT: Final = 256


class Delay(NamedTuple):
    """What was measured."""

    side: str
    accounts: int
    throttled: int
    """Accounts among them that WeChat lets send nothing."""
    rate: float
    """Messages a second that were queued, over all accounts."""
    messages: int
    """To accounts that may send."""
    missing: int
    milliseconds: dict[str, float]
    """From the message's creation to its receipt by the platform, by percentile."""
    resident_mib: list[float]
    """Of the worker, through the run."""


def measure(
    side: WorkerSide,
    cores: Cores,
    *,
    rate: float,
    seconds: float,
    accounts: int,
    throttled: int,
    progress: Callable[[Delay], None],
) -> Delay:
    """Queue messages at a rate for so long, evenly over the accounts; the last ones throttled."""
    with pinned(cores.server), simulated_platform(cores.server, accounts) as platform:
        platform.set_up(0.0)
        for number in range(accounts - throttled, accounts):
            platform.use_up(number)
        with side.running(platform.url, _IN_FLIGHT, cores, accounts) as (worker, stored):
            run = _Run(stored, worker.pid, rate, seconds, accounts)
            asyncio.run(run.play(accounts - throttled))
            received = platform.times()
    made = {number: at for number, at in run.made.items() if run.may_send(number, throttled)}
    delays = [
        received[key] - at for number, at in made.items() if (key := f"push-{number}") in received
    ]
    found = Delay(
        side.title,
        accounts,
        throttled,
        rate,
        len(made),
        len(made) - len(delays),
        {name: 1000 * value for name, value in percentiles(delays).items()},
        run.resident,
    )
    progress(found)
    return found


class _Run:
    """Queues messages at a rate."""

    def __init__(
        self, stored: Stored, worker: int, rate: float, seconds: float, accounts: int
    ) -> None:
        self._stored = stored
        self._worker = worker
        self._rate = rate
        self._seconds = seconds
        self._accounts = accounts
        self.made: dict[int, float] = {}
        """When each message was made, Unix seconds."""
        self.resident: list[float] = []

    def may_send(self, number: int, throttled: int) -> bool:
        """Tell whether a message is to an account that is not throttled."""
        return number % self._accounts < self._accounts - throttled

    async def play(self, open_accounts: int) -> None:
        """Warm up, queue at the rate, wait until all that may be sent is."""
        queue, records = self._stored.queue(), self._stored.records()
        try:
            warm_up = [make_job(10_000_000 + n, name_of(n % open_accounts)) for n in range(1000)]
            await queue.add(warm_up)
            await until_sent(records)
            began, number, looked = time.perf_counter(), 0, 0.0
            while (elapsed := time.perf_counter() - began) < self._seconds:
                due = int(elapsed * self._rate)
                jobs = [make_job(n, name_of(n % self._accounts)) for n in range(number, due)]
                self.made |= {n: job.created_at for n, job in zip(range(number, due), jobs)}  # noqa: B905  # as many
                number = due
                if jobs:
                    await queue.add(jobs)
                if elapsed > looked:
                    self.resident.append(largest(self._worker)[1] / 2**20)
                    looked += self._seconds / 20
                await asyncio.sleep(_TICK)
            await asyncio.sleep(2.0)
        finally:
            await queue.close()
            await records.close()
