"""The gateway's worker as a sender: its jobs lie in a store before it is told to begin."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from bench.load.cores import Cores, cpu_seconds, pinned
from bench.load.generator import LoadError
from bench.push.order import PATH, TEMPLATE_ID, Order, body, open_id
from bench.push.platform import account_settings, environment
from gateway.adapters.migrate import migrate
from gateway.adapters.postgres_job_records import PostgresRecords
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.outbound.jobs import Channel, Job, State, Wanted, job_id
from gateway.outbound.ports import JobQueue, JobRecords
from tests.services import postgres_server

_SETTINGS: Final = """\
[server]
log_level = "warning"

{accounts}
[push]
concurrency = {in_flight}

[store]
url = "sqlite:///{folder}/gateway.db"
{more}
"""

_STORED_AT_ONCE: Final = 1000
_WARM_SECONDS: Final = 30.0
_POLL: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSide:
    """`gateway worker` with a store."""

    name: str
    title: str
    setup: str
    store: Callable[[Path], "Iterator[str]"]
    """Starts what the store needs, and gives the settings' lines for it."""
    share: float = 1.0
    is_judged: bool = True
    lanes: int = 256
    more_lanes: int = 1024

    def in_flight(self, latency: float) -> int:
        """Return how many messages it has under way."""
        return self.more_lanes if latency else self.lanes

    def lacks(self) -> str | None:
        """Return the package that it needs and does not find: none."""
        return None

    @contextmanager
    def start(self, order: Order, cores: Cores) -> Iterator["Worker"]:
        """Start it, and let it send the warm-up; its jobs lie in its store then."""
        with self.running(order.url, order.in_flight, cores) as (worker, stored):
            asyncio.run(_fill(worker, stored, order))
            yield worker

    @contextmanager
    def running(
        self, url: str, in_flight: int, cores: Cores, accounts: int = 1
    ) -> Iterator[tuple["Worker", "Stored"]]:
        """Run it, with nothing to send; give its store too."""
        with TemporaryDirectory(prefix="gateway-bench-") as name, pinned(cores.server):
            folder = Path(name)
            with contextmanager(self.store)(folder) as more:
                settings = _SETTINGS.format(
                    accounts="".join(account_settings(number, url) for number in range(accounts)),
                    in_flight=in_flight,
                    folder=folder,
                    more=more,
                )
                (folder / "gateway.toml").write_text(settings, encoding="utf-8")
                with _running(folder, cores.generator) as worker:
                    dsn = more.partition('"')[2].rstrip('"\n')
                    yield worker, Stored(folder / "gateway.db", dsn)


class Stored(NamedTuple):
    """Where jobs lie."""

    file: Path
    dsn: str
    """Empty where it is the file."""

    def queue(self) -> JobQueue:
        """Open the queue."""
        if self.dsn:
            return PostgresQueue(self.dsn, timeout=30)
        return SqliteQueue(self.file, timeout=30)

    def records(self) -> JobRecords:
        """Open the records."""
        if self.dsn:
            return PostgresRecords(self.dsn, timeout=30)
        return SqliteRecords(self.file, timeout=30)


class Worker:
    """The process of a worker: a Sender."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def begin(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that it took so far."""
        return cpu_seconds([self._process.pid]) or 0.0

    def ended(self) -> Counter[str] | None:
        """Return None, for it does not end by itself; {"gone": 1} where it did."""
        return None if self._process.poll() is None else Counter({"gone": 1})


def sqlite_store(_folder: Path) -> Iterator[str]:
    """Give the settings of SQLite: none."""
    yield ""


def postgres_store(folder: Path) -> Iterator[str]:
    """Run a Postgres, which waits for the disk, and give the settings for it."""
    # As it comes; in tests it has less.
    with postgres_server(folder / "postgres", buffers="128MB") as server:

        async def make_tables() -> None:
            async for _ in migrate(server.dsn):
                pass

        asyncio.run(make_tables())
        yield f'postgres_dsn = "{server.dsn}"\n'


@contextmanager
def _running(folder: Path, core: int | None) -> Iterator[Worker]:
    command = [sys.executable, "-m", "gateway", "worker", "--concurrency", "1"]
    command += ["--config", str(folder / "gateway.toml")]
    output = folder / "output"
    with output.open("wb") as out, pinned(core):
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=out, stderr=out, process_group=0
        )
    try:
        yield Worker(process)
    except LoadError as error:
        raise LoadError(f"{error}\n{output.read_text(errors='replace')[-2000:]}") from None
    finally:
        process.kill()
        process.wait()


async def _fill(worker: Worker, stored: Stored, order: Order) -> None:
    """Let the worker send the warm-up; then store all, while it stands still."""
    queue, records = stored.queue(), stored.records()
    try:
        warm_up = range(order.count, order.count + order.warm_up)
        await queue.add([make_job(number) for number in warm_up])
        await until_sent(records)
        worker.signal(signal.SIGSTOP)
        for start in range(0, order.count, _STORED_AT_ONCE):
            end = min(order.count, start + _STORED_AT_ONCE)
            await queue.add([make_job(number) for number in range(start, end)])
    finally:
        await queue.close()
        await records.close()


async def until_sent(records: JobRecords) -> None:
    """Wait until the worker has nothing left."""
    until = time.monotonic() + _WARM_SECONDS
    while await records.backlog() or not await records.count(Wanted(states=(State.SENT,))):
        if time.monotonic() > until:
            raise LoadError("gateway worker did not send its warm-up")
        await asyncio.sleep(_POLL)


def make_job(number: int, account: str = "main") -> Job:
    """Return the job of a message, created now."""
    now = time.time()
    return Job(
        id=job_id(now, os.urandom(10)),
        account=account,
        channel=Channel.TEMPLATE,
        open_id=open_id(number),
        template="shipped",
        template_id=TEMPLATE_ID,
        path=PATH,
        body=body(number),
        created_at=now,
    )
