"""The worker pool: claims jobs in batches, sends them, and sees to it that each ends in a state.

A process that dies leaves its jobs to the others, once it has not said for a lease's time that it
is still there. What it was about to say of a job then is void, so that no job ends twice.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from gateway.errors import StoreDown, place_of
from gateway.outbound.attempts import Attempts
from gateway.outbound.gates import Gates, Opening, Route
from gateway.outbound.jobs import Ask, Held, Settled
from gateway.outbound.ports import JobQueue
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.outbound")

IDLE_SECONDS: Final = 1.0
"""Between two looks for jobs whose time has come; those that are new are told of."""

GATHER_SECONDS: Final = 0.02
"""How long a few free places wait for more of them, so that one claim fills them all."""

DOWN_SECONDS: Final = 0.5
"""Between two tries of a store that is down."""

SETTLED_AT_ONCE: Final = 500


class Pool(NamedTuple):
    """How many messages a process sends at a time."""

    concurrency: int
    retries: float = 0.25
    """The share of what is claimed that may be retries while first attempts wait."""
    one_account: float = 0.5
    """The share that one account may have while there are others."""
    lease: float = 30.0
    """Seconds that it holds its jobs without saying so again; more than a call may take."""
    worker: str = ""
    """The process's name, which tells it from all others."""


class Settling:
    """Says in the store what became of jobs, batch by batch."""

    def __init__(
        self,
        queue: JobQueue,
        worker: str,
        lease: float,
        *,
        on_room: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        """``on_room`` is called when some are done."""
        self._metrics = metrics
        self._lease = lease
        self._queue = queue
        self._worker = worker
        self._on_room = on_room
        self._waiting: list[Settled] = []
        self._saying: asyncio.Task[None] | None = None
        self.open: set[str] = set()
        """Jobs that nothing is said of in the store yet."""

    def add(self, settled: Settled) -> None:
        """Say it with the next batch."""
        self.open.add(settled.id)
        self._waiting.append(settled)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._say())

    async def flush(self) -> None:
        """Return when all is said."""
        while self._saying is not None and not self._saying.done():
            await asyncio.wait([self._saying])

    async def _say(self) -> None:
        while self._waiting:
            batch = self._waiting[:SETTLED_AT_ONCE]
            del self._waiting[:SETTLED_AT_ONCE]
            await self._say_batch(batch)
            self.open.difference_update(one.id for one in batch)
            self._on_room()

    async def _say_batch(self, batch: Sequence[Settled]) -> None:
        """Say it, as long as the jobs are surely this worker's; then they are another's."""
        until = asyncio.get_running_loop().time() + self._lease
        while True:
            try:
                with self._metrics.store_call("settle"):
                    own = await self._queue.settle(self._worker, batch)
            except StoreDown as down:
                if asyncio.get_running_loop().time() >= until:
                    _log.error(
                        "push jobs are left to other workers", count=len(batch), error=str(down)
                    )
                    return
                await asyncio.sleep(DOWN_SECONDS)
                continue
            if len(own) < len(batch):
                lost = len(batch) - len(own)
                _log.warning("push jobs were taken over: this worker stood still", count=lost)
            return


class Dispatcher:
    """The worker pool of one process."""

    def __init__(
        self,
        queue: JobQueue,
        attempts: Attempts,
        gates: Gates,
        routes: Sequence[Route],
        pool: Pool,
        *,
        clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        """``clock`` gives Unix seconds."""
        worker = pool.worker
        metrics = self._metrics = metrics or Metrics()
        self._queue = queue
        self._attempts = attempts
        self._gates = gates
        self._routes = list(routes)
        self._pool = pool
        self._worker = worker
        self._clock = clock
        self._settling = Settling(
            queue, worker, pool.lease, on_room=self._look_around, metrics=metrics
        )
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._of_account: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self.standing_still: list[str] = []
        """Parts of it that ended though they should go on for ever."""
        self._beat = pool.lease / 3
        self._is_unsure = False
        """Whether a claim failed: then it may have jobs of which it does not know."""
        self._known_until = 0.0
        """By the loop's clock: until when this worker holds its jobs."""
        # A few free places are not worth a claim while others are about to come.
        self._few = max(1, pool.concurrency // 4)

    def wake(self) -> None:
        """Look for jobs now."""
        self._wake.set()

    async def start(self) -> None:
        """Begin to send."""
        self._running = [
            asyncio.create_task(work())
            for work in (self._keep, self._take_over, self._listen, self._dispatch)
        ]
        for task in self._running:
            task.add_done_callback(self._tell)

    async def stop(self, grace: float) -> None:
        """Claim nothing more, wait for what is under way, so many seconds; give back the rest."""
        keeping, *others = self._running
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=grace)
        for sending in self._under_way.values():
            sending.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._settling.flush()
        keeping.cancel()
        await asyncio.wait([keeping])
        with suppress(StoreDown):
            # A claim may have been cut off, and have jobs that nobody began with.
            await self._queue.put_back(self._worker, self._settling.open)
            if not self._settling.open:
                await self._queue.leave(self._worker)

    def _tell(self, task: asyncio.Task[None]) -> None:
        """Log what nobody waits for: a part of the pool that stands still."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.standing_still.append("push")
            _log.critical("push stands still", error=type(error).__name__, at=place_of(error))

    def _room(self) -> int:
        return self._pool.concurrency - len(self._under_way) - len(self._settling.open)

    def _look_around(self) -> None:
        if self._room() >= self._few:
            self._wake.set()

    async def _dispatch(self) -> None:
        """Claim and begin, as long as there is something, and room for it."""
        while True:
            try:
                began = await self._claim(self._room())
            except StoreDown as down:
                _log.warning("nothing is pushed meanwhile", error=str(down))
                await asyncio.sleep(DOWN_SECONDS)
                continue
            if not began or self._room() < self._few:
                await self._pause(IDLE_SECONDS if not began else GATHER_SECONDS)

    async def _claim(self, room: int) -> int:
        """Claim what there is room for, and begin; return how many."""
        # What is claimed has to be this worker's for as long as a send may take, and longer.
        if room <= 0 or asyncio.get_running_loop().time() > self._known_until - self._beat:
            return 0
        opened = await self._gates.open(self._wanted(room))
        asks = [Ask(*route, limit, self._retries(limit)) for route, limit in opened]
        held: list[Held] = []
        try:
            if self._is_unsure:
                known = (*self._under_way, *self._settling.open)
                await self._queue.put_back(self._worker, known)
            self._is_unsure = True
            found: list[Held] = []
            if asks:
                with self._metrics.store_call("claim"):
                    found = await self._queue.claim(self._worker, asks, room)
            if asyncio.get_running_loop().time() < self._known_until:
                held, self._is_unsure = found, False
            # Else this process stood still meanwhile, and they may be another's by now.
        finally:
            await self._gates.unused([*_left(opened, held)])
        for one in held:
            self._begin(one)
        return len(held)

    def _wanted(self, room: int) -> list[Opening]:
        """Return what each route may have of the room; each is the first in turn."""
        self._routes.append(self._routes.pop(0))
        share = self._pool.one_account if len({one.account for one in self._routes}) > 1 else 1.0
        most = max(1, int(self._pool.concurrency * share))
        return [
            Opening(route, limit)
            for route in self._routes
            if (limit := min(room, most - self._of_account.get(route.account, 0))) > 0
        ]

    def _retries(self, limit: int) -> int:
        return max(1, int(limit * self._pool.retries))

    def _begin(self, held: Held) -> None:
        account = held.account
        self._of_account[account] = self._of_account.get(account, 0) + 1

        def ended(_task: asyncio.Task[None]) -> None:
            del self._under_way[held.id]
            self._of_account[account] -= 1
            self._look_around()

        task = asyncio.create_task(self._send(held))
        self._under_way[held.id] = task
        task.add_done_callback(ended)

    async def _send(self, held: Held) -> None:
        self._settling.add(await self._attempts.send(held))

    async def _pause(self, seconds: float) -> None:
        """Wait until there may be something to do."""
        wait = min(seconds, self._gates.wait or seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.001)):
                await self._wake.wait()
        self._wake.clear()

    async def _listen(self) -> None:
        """Look for jobs whenever others stored some."""
        while True:
            await self._queue.wait(IDLE_SECONDS)
            self._wake.set()

    async def _keep(self) -> None:
        """Say that this worker is there, as long as it is."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._queue.beat(self._worker, self._pool.lease)
            except StoreDown as down:
                _log.warning("nothing is pushed meanwhile", error=str(down))
                await asyncio.sleep(DOWN_SECONDS)
                continue
            self._known_until = began + self._pool.lease
            self._wake.set()
            await asyncio.sleep(self._beat)

    async def _take_over(self) -> None:
        """Look for the jobs of workers that are gone, and say what becomes of them.

        By a name of its own, which nobody goes on to speak for: what is taken over and comes to
        nothing is taken over again.
        """
        heir = f"{self._worker}-heir"
        while True:
            with suppress(StoreDown):
                await self._queue.beat(heir, self._pool.lease)
                while orphans := await self._queue.orphans(heir, SETTLED_AT_ONCE):
                    _log.warning("push jobs of a worker that is gone", count=len(orphans))
                    now = self._clock()
                    settled = [self._attempts.interrupted(held, now) for held in orphans]
                    await self._queue.settle(heir, settled)
                    self._wake.set()
                await self._queue.leave(heir)
            await asyncio.sleep(self._beat)


def _left(opened: Sequence[Opening], held: Sequence[Held]) -> Iterator[Opening]:
    """Yield what was opened and not used."""
    used: dict[Route, int] = {}
    for one in held:
        route = Route(one.account, one.channel)
        used[route] = used.get(route, 0) + 1
    for route, room in opened:
        if (left := room - used.get(route, 0)) > 0:
            yield Opening(route, left)
