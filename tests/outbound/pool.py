"""A worker pool over a simulated platform, for tests: its queue a SQLite file."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.adapters.memory_budgets import MemoryBudgets
from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.outbound.attempts import Attempts
from gateway.outbound.budgets import Rate
from gateway.outbound.dispatcher import Dispatcher, Pool
from gateway.outbound.gates import Gates, Route
from gateway.outbound.jobs import Channel, Record, State, Wanted
from gateway.outbound.policy import Terms
from gateway.outbound.push import Push
from gateway.outbound.requests import JobMaker
from gateway.outbound.templates import FieldText, MessageTemplate, TemplateFile
from tests.outbound.desk import TEMPLATE, Desk

ACCOUNT: Final = "main"
SHIPPED: Final = MessageTemplate(
    "order-shipped",
    TemplateFile(
        TEMPLATE.id,
        {"thing1": FieldText("{{ goods }}"), "amount2": FieldText("{{ fen | money }}")},
    ),
)
NOTICE: Final = MessageTemplate(
    "order-notice",
    TemplateFile(
        TEMPLATE.id,
        {"thing1": FieldText("{{ goods }}"), "amount2": FieldText("{{ fen | money }}")},
        channel=Channel.NOTICE,
    ),
)
DATA: Final = {"goods": "巧克力", "fen": 3980}
QUICK: Final = Terms(max_attempts=8, base=0.02, cap=0.1)
ROUTES: Final = [Route(ACCOUNT, channel) for channel in Channel]


def user(number: int) -> str:
    """Return an open id."""
    return f"oUser{number:024d}"


@dataclass
class Workers:
    """What a test pushes with, and the workers that send it."""

    desk: Desk
    folder: Path
    terms: Terms = QUICK
    rates: dict[Route, Rate] = field(default_factory=dict)
    concurrency: int = 32
    started: list[Dispatcher] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the queue."""
        path = self.folder / "gateway.db"
        self.queue = SqliteQueue(path, timeout=5, clock=self.desk.clock)
        self.records = SqliteRecords(path, timeout=5, clock=self.desk.clock)
        templates = {one.name: one for one in (SHIPPED, NOTICE)}
        self.push = Push(JobMaker([ACCOUNT], templates, clock=self.desk.clock), self.queue)
        self.transport = self.desk.transport()
        self.tokens = MemoryTokens()
        self.budgets = MemoryBudgets(self.desk.clock)
        # The same each time.
        self.draw = random.Random(11).random  # noqa: S311

    async def start(
        self, name: str = "worker", routes: Sequence[Route] = ROUTES, lease: float = 30.0
    ) -> Dispatcher:
        """Start a worker."""
        clock, draw = self.desk.clock, self.draw
        gates = Gates(self.budgets, self.rates, clock=clock, draw=draw)
        api, _ = self.desk.api(self.tokens, self.transport)
        attempts = Attempts({ACCOUNT: api}, gates, self.terms, clock=clock, draw=draw)
        dispatcher = Dispatcher(
            self.queue,
            attempts,
            gates,
            routes,
            Pool(self.concurrency, lease=lease, worker=name),
            clock=clock,
        )
        await dispatcher.start()
        self.started.append(dispatcher)
        return dispatcher

    async def shipped(self, *users: int, **options: object) -> list[str]:
        """Push a template message to each of these users; return the jobs' ids."""
        return [
            await self.push.template(ACCOUNT, user(one), "order-shipped", DATA, **options)  # type: ignore[arg-type]  # its own options
            for one in users
        ]

    async def all(self, *states: State) -> list[Record]:
        """Return the jobs in these states, or all, oldest first."""
        found = await self.records.find(Wanted(states=states or None), 100_000)
        return found[::-1]

    async def until(self, *states: State, seconds: float = 30.0) -> list[Record]:
        """Wait until every job is in one of these states; return them, oldest first."""
        until = time.monotonic() + seconds
        while True:
            found = await self.all()
            if all(one.state in states for one in found):
                return found
            assert time.monotonic() < until, [(one.state, one.reason) for one in found][:20]
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Stop what was started."""
        for dispatcher in self.started:
            await dispatcher.stop(5.0)
        await self.queue.close()
        await self.records.close()
        await self.transport.close()


@asynccontextmanager
async def workers(desk: Desk, folder: Path, **given: object) -> AsyncIterator[Workers]:
    """Give a test its workers."""
    one = Workers(desk, folder, **given)  # type: ignore[arg-type]  # its own fields
    try:
        yield one
    finally:
        await one.close()
