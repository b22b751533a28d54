"""One suite over every JobRecords: SQLite, Postgres."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from gateway.adapters import sqlite_wiping
from gateway.adapters.postgres_job_records import PostgresRecords
from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.outbound.jobs import (
    DEAD_LETTERS,
    UNSENT,
    Backlog,
    Channel,
    Job,
    Outcome,
    Priority,
    Record,
    State,
    Wanted,
    job_id,
)
from gateway.outbound.ports import JobQueue, JobRecords
from tests.contracts.jobs import ALL, FIRST, claim, job, receipt, settled
from tests.contracts.records import migrated
from tests.services import Database

EVERY: Final = Wanted()


@dataclass
class Kept:
    """A queue, and the records of its jobs."""

    queue: JobQueue
    records: JobRecords

    def play(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """Run a scenario, and close both."""

        async def run() -> None:
            try:
                await scenario()
            finally:
                await self.queue.close()
                await self.records.close()

        asyncio.run(run())

    async def end(self, *jobs: Job, state: State, **given: object) -> None:
        """Let jobs end in a state."""
        await self.queue.add(jobs)
        held = await claim(self.queue, "w", ALL._replace(limit=1000), limit=1000)
        assert {one.id for one in held} == {one.id for one in jobs}
        await self.queue.settle("w", [settled(one, state, **given) for one in held])

    async def ids(self, wanted: Wanted = EVERY) -> list[str]:
        """Return the ids of those that are meant, oldest first."""
        return [one.id for one in await self.records.find(wanted, 1000)][::-1]


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """Records of each kind, with nothing in them."""
    if request.param == "sqlite":
        path = tmp_path / "var" / "g.db"
        return Kept(SqliteQueue(path, timeout=5), SqliteRecords(path, timeout=5))
    database: Database = request.getfixturevalue("postgres")
    dsn = migrated(database.dsn)
    return Kept(PostgresQueue(dsn, timeout=5), PostgresRecords(dsn, timeout=5))


def test_a_job_is_told_of_at_each_step_and_never_what_it_says(kept: Kept) -> None:
    given = job(
        created_at=1_790_000_000.125,
        not_before=1_790_000_001.5,
        expires_at=1_890_000_000.25,
        idempotency_key="k-1",
        batch="b-1",
        priority=Priority.HIGH,
    )

    async def scenario() -> None:
        await kept.queue.add([given])
        (queued,) = await kept.records.find(EVERY, 10)
        assert queued == Record(
            id=given.id,
            account="main",
            channel=Channel.TEMPLATE,
            template="order-shipped",
            to="oUser",
            state=State.QUEUED,
            reason="",
            priority=Priority.HIGH,
            created_at=1_790_000_000.125,
            not_before=1_790_000_001.5,
            expires_at=1_890_000_000.25,
            batch="b-1",
            idempotency_key="k-1",
            tries=0,
            attempts=(),
            message_id=None,
            ended_at=None,
            receipt_at=None,
        )
        (held,) = await claim(kept.queue, "a")
        (sending,) = await kept.records.find(EVERY, 10)
        assert sending.state is State.SENDING
        ended = settled(held, State.SENT, message_id="77", at=1_790_000_002.5, reason="")
        await kept.queue.settle("a", [ended])
        (sent,) = await kept.records.find(EVERY, 10)
        assert (sent.state, sent.message_id, sent.tries) == (State.SENT, "77", 1)
        assert (sent.ended_at, sent.attempts) == (1_790_000_002.5, ended.attempts)
        failed = receipt("77", state=State.FAILED, reason="receipt: \0", at=1_790_000_003.5)
        await kept.queue.receive([failed])
        (told,) = await kept.records.find(EVERY, 10)
        assert (told.state, told.reason) == (State.FAILED, "receipt: \0")
        assert told.receipt_at == 1_790_000_003.5

    kept.play(scenario)


def test_jobs_are_found_by_each_filter_and_by_several(kept: Kept) -> None:
    now = time.time()

    async def scenario() -> None:
        old = job(id=job_id(now - 1000, b"0123456789"))
        custom = job(channel=Channel.CUSTOM, template="", account="other")
        mine = job(open_id="oMe", batch="b-1")
        await kept.queue.add([old, custom, mine])
        (held,) = await claim(kept.queue, "a", limit=1)
        await kept.queue.settle("a", [settled(held, State.DEAD, reason="busy: -1\0")])
        found = {
            Wanted(): [old, custom, mine],
            Wanted(ids=(old.id, mine.id)): [old, mine],
            Wanted(ids=()): [],
            Wanted(states=(State.QUEUED,)): [custom, mine],
            Wanted(states=(State.QUEUED, State.DEAD)): [old, custom, mine],
            Wanted(account="other"): [custom],
            Wanted(channel=Channel.TEMPLATE): [old, mine],
            Wanted(template="order-shipped"): [old, mine],
            Wanted(to="oMe"): [mine],
            Wanted(batch="b-1"): [mine],
            Wanted(reason="busy: -1\0"): [old],
            Wanted(reason="BUSY"): [],
            Wanted(since=now - 500): [custom, mine],
            Wanted(before=now - 500): [old],
            Wanted(account="main", states=(State.QUEUED,), to="oMe"): [mine],
        }
        for wanted, jobs in found.items():
            assert await kept.ids(wanted) == [one.id for one in jobs], wanted
            assert await kept.records.count(wanted) == len(jobs)

    kept.play(scenario)


def test_many_are_told_of_page_by_page(kept: Kept) -> None:
    jobs = [job() for _ in range(7)]

    async def scenario() -> None:
        await kept.queue.add(jobs)
        pages = []
        after = None
        while page := await kept.records.find(EVERY, 3, after):
            pages.append([one.id for one in page])
            after = page[-1].id
        ids = [one.id for one in reversed(jobs)]
        assert pages == [ids[:3], ids[3:6], ids[6:]]

    kept.play(scenario)


def test_what_waits_is_cancelled_and_what_is_being_sent_is_not(kept: Kept) -> None:
    async def scenario() -> None:
        await kept.queue.add([job() for _ in range(6)])
        (held,) = await claim(kept.queue, "a", limit=1)
        assert await kept.records.cancel(EVERY, 3, 1_790_000_000.5) == 3
        assert await kept.records.cancel(EVERY, 100, 1_790_000_000.5) == 2
        assert await kept.records.cancel(EVERY, 100, 1_790_000_000.5) == 0
        assert await claim(kept.queue, "b") == []
        states = Counter(one.state for one in await kept.records.find(EVERY, 10))
        assert states == {State.CANCELLED: 5, State.SENDING: 1}
        (one, *_) = await kept.records.find(Wanted(states=(State.CANCELLED,)), 1)
        assert one.ended_at == 1_790_000_000.5
        assert await kept.queue.settle("a", [settled(held, State.SENT)]) == [held.id]

    kept.play(scenario)


@pytest.mark.parametrize("state", UNSENT)
def test_what_was_not_sent_is_queued_again_as_if_it_were_new(kept: Kept, state: State) -> None:
    async def scenario() -> None:
        past, to_come = job(expires_at=1_790_000_001.0), job(expires_at=2_000_000_000.0)
        if state is State.CANCELLED:
            await kept.queue.add([past, to_come])
            await kept.records.cancel(EVERY, 10, time.time())
        else:
            await kept.end(past, to_come, state=state, maybe_sent_at=1_790_000_000.0)
        now = time.time()
        assert await kept.records.retry(Wanted(account="other"), 10, now) == 0
        assert await kept.records.retry(EVERY, 1, now) == 1
        assert await kept.records.retry(EVERY, 10, now) == 1
        assert await kept.records.retry(EVERY, 10, now) == 0
        again = {one.id: one for one in await claim(kept.queue, "b")}
        assert set(again) == {past.id, to_come.id}
        # Whoever retries what has expired wants it to be sent all the same.
        assert again[past.id].expires_at is None
        assert again[to_come.id].expires_at == 2_000_000_000.0
        assert {one.tries for one in again.values()} == {0}
        assert {one.maybe_sent_at for one in again.values()} == {None}
        assert all(abs(one.created_at - now) < 1e-4 for one in again.values())
        assert {len(one.attempts) for one in again.values()} == {
            0 if state is State.CANCELLED else 1
        }

    kept.play(scenario)


def test_what_was_sent_or_waits_is_neither_retried_nor_discarded(kept: Kept) -> None:
    async def scenario() -> None:
        await kept.end(job(), state=State.SENT)
        await kept.queue.add([job()])
        assert await kept.records.retry(EVERY, 10, time.time()) == 0
        assert await kept.records.discard(EVERY, 10) == 0
        assert await kept.records.count(EVERY) == 2

    kept.play(scenario)


def test_dead_letters_are_discarded_and_nothing_else_is(kept: Kept) -> None:
    async def scenario() -> None:
        for state in (*DEAD_LETTERS, State.FAILED, State.EXPIRED):
            await kept.end(job(), job(template="other"), state=state)
        assert await kept.records.discard(Wanted(template="other"), 1) == 1
        assert await kept.records.discard(Wanted(template="other"), 10) == 1
        assert await kept.records.discard(Wanted(states=(State.DEAD,)), 10) == 1
        left = Counter(one.state for one in await kept.records.find(EVERY, 10))
        assert left == {State.AMBIGUOUS: 1, State.FAILED: 2, State.EXPIRED: 2}

    kept.play(scenario)


def test_what_has_ended_is_pruned_when_it_is_old(kept: Kept) -> None:
    now = time.time()

    async def scenario() -> None:
        old = [job(id=job_id(now - 1000 + n, n.to_bytes(10))) for n in range(4)]
        young = job()
        await kept.end(*old[:3], young, state=State.SENT)
        await kept.queue.add(old[3:])
        assert await kept.records.prune(now - 998) == 2
        assert await kept.records.prune(now - 500) == 1
        assert await kept.ids() == [old[3].id, young.id]

    kept.play(scenario)


def test_all_that_was_for_one_user_is_erased_but_what_is_being_sent(kept: Kept) -> None:
    open_id = "oErased"

    async def scenario() -> None:
        others = [job(), job(open_id=open_id, account="shop"), job(open_id=open_id + "x")]
        for state in (State.SENT, *UNSENT):
            if state is not State.CANCELLED:
                await kept.end(job(open_id=open_id), state=state)
        cancelled, waiting, later = (job(open_id=open_id) for _ in range(3))
        await kept.queue.add([cancelled])
        assert await kept.records.cancel(Wanted(ids=(cancelled.id,)), 1, time.time()) == 1
        await kept.queue.add([waiting, later._replace(not_before=time.time() + 1000)])
        sending = job(open_id=open_id, priority=Priority.HIGH)
        await kept.queue.add([sending, *others])
        (held,) = await claim(kept.queue, "a", limit=1)
        assert held.id == sending.id
        assert await kept.records.erase("main", "nobody") == 0
        assert await kept.records.erase("main", open_id) == len(UNSENT) + 3
        assert await kept.records.erase("main", open_id) == 0
        assert {*await kept.ids()} == {sending.id, *(one.id for one in others)}
        # It is still the worker's, and goes once it has ended or waits again.
        again = settled(held, State.QUEUED, due=time.time() + 1000)
        assert await kept.queue.settle("a", [again]) == [sending.id]
        assert await kept.records.erase("main", open_id) == 1
        assert await kept.ids() == [one.id for one in others]
        claimed = await claim(kept.queue, "a", FIRST, FIRST._replace(account="shop"))
        assert {one.id for one in claimed} == {one.id for one in others}

    kept.play(scenario)


def test_nothing_is_erased_under_a_worker_and_nothing_waits_that_is_erased(kept: Kept) -> None:
    jobs = [job(open_id="oErased") for _ in range(60)]

    async def scenario() -> None:
        await kept.queue.add(jobs)
        held: list[str] = []
        erased: list[int] = []

        async def work() -> None:
            while some := await claim(kept.queue, "a", limit=5):
                await asyncio.sleep(0)
                own = await kept.queue.settle("a", [settled(one, State.SENT) for one in some])
                assert own == [one.id for one in some]
                held.extend(own)

        async def erase() -> None:
            for _ in range(20):
                erased.append(await kept.records.erase("main", "oErased"))
                await kept.records.cancel(Wanted(to="oErased"), 1, time.time())
                await kept.records.retry(Wanted(to="oErased"), 1, time.time())

        await asyncio.gather(work(), erase(), erase())
        await work()
        erased.append(await kept.records.erase("main", "oErased"))
        assert sum(erased) == len(jobs)
        assert await kept.records.count(EVERY) == 0
        assert await kept.records.backlog() == []

    kept.play(scenario)


@pytest.mark.parametrize("written_anew", [0, sqlite_wiping.WRITTEN_ANEW])
def test_what_is_erased_is_in_no_byte_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_anew: int
) -> None:
    monkeypatch.setattr(sqlite_wiping, "WRITTEN_ANEW", written_anew)
    path = tmp_path / "g.db"
    kept = Kept(SqliteQueue(path, timeout=5), SqliteRecords(path, timeout=5))

    async def scenario() -> None:
        for number in range(60):
            user = f"o{number % 4}Open"
            body = f'{{"touser":"{user}","data":"{"x" * number * 40}"}}'.encode()
            one = job(open_id=user, body=body)
            await kept.end(one, state=(State.SENT, State.DEAD, State.FAILED)[number % 3])
        assert await kept.records.erase("main", "o3Open") == 15
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert b"o2Open" in files["g.db"]
        assert [name for name, content in files.items() if b"o3Open" in content] == []

    kept.play(scenario)


def test_outcomes_are_counted_by_day_and_template(kept: Kept) -> None:
    # 2026-09-21 23:30 and, half an hour later, 2026-09-22 in Beijing.
    evening, midnight = 1_790_004_600.0, 1_790_006_400.0

    async def scenario() -> None:
        late, early = {"created_at": evening}, {"created_at": midnight}
        await kept.end(job(**late), job(**late), job(**early), state=State.SENT)
        await kept.queue.add([job(**early), job(channel=Channel.CUSTOM, template="", **early)])
        assert await kept.records.outcomes(EVERY) == [
            Outcome("2026-09-21", "main", "order-shipped", State.SENT, 2),
            Outcome("2026-09-22", "main", "custom", State.QUEUED, 1),
            Outcome("2026-09-22", "main", "order-shipped", State.QUEUED, 1),
            Outcome("2026-09-22", "main", "order-shipped", State.SENT, 1),
        ]
        assert len(await kept.records.outcomes(Wanted(template="order-shipped"))) == 3

    kept.play(scenario)


def test_a_batch_is_counted_by_state(kept: Kept) -> None:
    async def scenario() -> None:
        await kept.end(job(batch="b-1"), job(batch="b-1"), job(batch="b-2"), state=State.SENT)
        await kept.queue.add([job(batch="b-1")])
        assert await kept.records.batch("b-1") == {State.SENT: 2, State.QUEUED: 1}
        assert await kept.records.batch("b-3") == {}

    kept.play(scenario)


def test_the_backlog_tells_what_waits_and_how_long(kept: Kept) -> None:
    async def scenario() -> None:
        assert await kept.records.backlog() == []
        now = time.time()
        await kept.queue.add([job(not_before=now - 50) for _ in range(4)])
        await kept.queue.add([job(not_before=now + 1000), job(channel=Channel.CUSTOM)])
        first, second = await claim(kept.queue, "a", limit=2)
        again = settled(first, State.QUEUED, due=now - 60)
        await kept.queue.settle("a", [again])
        custom, template = await kept.records.backlog()
        assert custom[:6] == ("main", Channel.CUSTOM, 1, 0, 0, 0)
        assert template[:6] == ("main", Channel.TEMPLATE, 3, 1, 1, 1)
        assert isinstance(template, Backlog)
        assert 60 <= template.oldest < 90
        await kept.queue.settle("a", [settled(second, State.SENT)])

    kept.play(scenario)
