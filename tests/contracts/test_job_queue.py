"""One suite over every JobQueue: SQLite, Postgres."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.postgres_queue import PostgresQueue
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.errors import StoreDown
from gateway.outbound.jobs import (
    Added,
    Ask,
    Channel,
    Closed,
    Held,
    Lane,
    Priority,
    State,
)
from gateway.outbound.ports import JobQueue
from tests.contracts.jobs import ALL, BODY, FIRST, LONG, claim, job, receipt, settled
from tests.contracts.records import Opener, migrated
from tests.services import Database, PostgresServer, postgres_server

TRACE = "0123456789abcdef0123456789abcdef-0123456789abcdef"


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[JobQueue]:
    """Queues of each kind, with nothing in them."""
    if request.param == "sqlite":
        return Opener(lambda: SqliteQueue(tmp_path / "var" / "g.db", timeout=5))
    database: Database = request.getfixturevalue("postgres")
    dsn = migrated(database.dsn)
    return Opener(lambda: PostgresQueue(dsn, timeout=5))


def test_a_job_is_claimed_once_and_as_it_was_stored(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue, other = opener.open(), opener.open()
        given = job(
            expires_at=2_000_000_000.25, created_at=1_790_000_000.125, not_before=7.5, trace=TRACE
        )
        assert await queue.add([given]) == [Added(given.id, is_new=True)]
        (held,) = await claim(other, "a")
        assert held == Held(
            given.id,
            "main",
            Channel.TEMPLATE,
            given.path,
            BODY,
            1_790_000_000.125,
            2_000_000_000.25,
            Lane.FIRST,
            0,
            None,
            (),
            7.5,
            TRACE,
        )
        assert await claim(queue, "b") == []

    opener.play(scenario)


def test_of_many_workers_that_claim_at_once_each_gets_others(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job() for _ in range(100)])
        workers = [opener.open() for _ in range(5)]
        for number, worker in enumerate(workers):
            await worker.beat(f"w{number}", LONG)
        ask = FIRST._replace(limit=15)
        got = await asyncio.gather(
            *(w.claim(f"w{n}", [ask], 100) for n, w in enumerate(workers)),
            *(w.claim(f"w{n}", [ask], 100) for n, w in enumerate(workers)),
        )
        ids = [held.id for some in got for held in some]
        assert len(ids) == len(set(ids))
        assert all(len(some) <= 15 for some in got)
        rest = await claim(queue, "last")
        assert len(ids) + len(rest) == 100

    opener.play(scenario)


def test_what_is_asked_for_is_given_and_no_more(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add(
            [
                *(job() for _ in range(5)),
                *(job(channel=Channel.CUSTOM) for _ in range(5)),
                *(job(account="other") for _ in range(5)),
            ]
        )
        custom = Ask("main", Channel.CUSTOM, 3, 0)
        got = await claim(queue, "a", FIRST._replace(limit=2), custom)
        assert sorted(held.channel for held in got) == ["custom"] * 3 + ["template"] * 2
        assert {held.account for held in got} == {"main"}
        other = Ask("other", Channel.TEMPLATE, 100, 0)
        assert len(await claim(queue, "a", other, FIRST, limit=6)) == 6
        assert await queue.claim("a", [], 100) == []

    opener.play(scenario)


def test_the_more_urgent_go_first_and_then_those_that_are_due_longer(
    opener: Opener[JobQueue],
) -> None:
    async def scenario() -> None:
        queue = opener.open()
        low = job(priority=Priority.LOW)
        later, sooner = job(not_before=20.0), job(not_before=10.0)
        high = job(priority=Priority.HIGH)
        tomorrow = job(priority=Priority.HIGH, not_before=time.time() + 86_400)
        await queue.add([low, later, sooner, high, tomorrow])
        order = [held.id for held in await claim(queue, "a", limit=2)]
        order += [held.id for held in await claim(queue, "a")]
        assert order == [high.id, sooner.id, later.id, low.id]

    opener.play(scenario)


def test_a_job_that_is_to_be_sent_again_waits_in_a_lane_of_its_own(
    opener: Opener[JobQueue],
) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job(), job()])
        first, second = await claim(queue, "a")
        soon = settled(first, State.QUEUED, due=time.time() - 1, maybe_sent_at=1_790_000_000.5)
        later = settled(second, State.QUEUED, due=time.time() + LONG)
        assert set(await queue.settle("a", [soon, later])) == {first.id, second.id}
        assert await claim(queue, "a") == []
        (again,) = await claim(queue, "b", ALL)
        assert again == first._replace(
            lane=Lane.RETRY, tries=1, maybe_sent_at=1_790_000_000.5, attempts=soon.attempts
        )

    opener.play(scenario)


def test_retries_come_first_and_take_no_more_than_their_share(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job() for _ in range(20)])
        failed = await claim(queue, "a", limit=10)
        await queue.settle("a", [settled(one, State.QUEUED) for one in failed])
        ask = Ask("main", Channel.TEMPLATE, 8, 3)
        lanes = [held.lane for held in await claim(queue, "a", ask)]
        assert sorted(lanes) == [Lane.FIRST] * 5 + [Lane.RETRY] * 3
        lanes = [held.lane for held in await claim(queue, "a", ask)]
        assert sorted(lanes) == [Lane.FIRST] * 5 + [Lane.RETRY] * 3
        assert len(await claim(queue, "a", ask)) == 3
        assert len(await claim(queue, "a", ask)) == 1

    opener.play(scenario)


def test_a_job_that_has_ended_is_claimed_by_nobody(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        ends = [s for s in State if s not in (State.QUEUED, State.SENDING)]
        await queue.add([job() for _ in ends])
        held = await claim(queue, "a")
        await queue.settle("a", [settled(one, end) for one, end in zip(held, ends, strict=True)])
        assert await claim(queue, "a", ALL) == []
        await queue.leave("a")
        assert await queue.orphans("b", 100) == []

    opener.play(scenario)


def test_the_jobs_of_a_worker_that_is_gone_are_taken_over_and_what_it_says_then_is_void(
    opener: Opener[JobQueue],
) -> None:
    async def scenario() -> None:
        dead, living, other = opener.open(), opener.open(), opener.open()
        await dead.add([job() for _ in range(5)])
        await dead.beat("dead", 0.2)
        lost = await dead.claim("dead", [FIRST], 3)
        await living.beat("living", LONG)
        kept = await living.claim("living", [FIRST], 2)
        assert await other.orphans("other", 10) == []
        await asyncio.sleep(0.3)
        await other.beat("other", LONG)
        assert {one.id for one in await other.orphans("other", 2)} <= {one.id for one in lost}
        assert len(await other.orphans("other", 10)) == 1
        # It comes back, and no job is its own any more.
        await dead.beat("dead", LONG)
        assert await dead.settle("dead", [settled(one, State.SENT) for one in lost]) == []
        assert len(await living.settle("living", [settled(o, State.SENT) for o in kept])) == 2
        assert len(await other.settle("other", [settled(o, State.SENT) for o in lost])) == 3

    opener.play(scenario)


def test_what_a_worker_has_without_knowing_is_put_back_as_it_was(
    opener: Opener[JobQueue],
) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job() for _ in range(5)])
        held = await claim(queue, "a", limit=3)
        others = await claim(queue, "b", limit=1)
        assert await queue.put_back("a", [held[0].id]) == 2
        assert await queue.put_back("a", [held[0].id]) == 0
        again = await claim(queue, "c")
        assert {one.id for one in again} > {held[1].id, held[2].id}
        assert {one.tries for one in again} == {0}
        assert len(await queue.settle("a", [settled(held[0], State.SENT)])) == 1
        assert len(await queue.settle("b", [settled(others[0], State.SENT)])) == 1

    opener.play(scenario)


def test_a_worker_that_says_so_in_time_keeps_its_jobs(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job()])
        await queue.beat("a", 0.1)
        await queue.claim("a", [FIRST], 1)
        await queue.beat("a", LONG)
        await asyncio.sleep(0.2)
        assert await queue.orphans("b", 10) == []

    opener.play(scenario)


def test_an_idempotency_key_stands_for_one_job_of_its_account(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        first = job(idempotency_key="订单-1", fingerprint=b"\x00one")
        same = job(idempotency_key="订单-1", fingerprint=b"\x00one")
        another = job(idempotency_key="订单-1", fingerprint=b"two")
        elsewhere = job(idempotency_key="订单-1", fingerprint=b"two", account="other")
        assert await queue.add([first, same]) == [
            Added(first.id, is_new=True),
            Added(first.id, is_new=False, is_same=True),
        ]
        assert await queue.add([another, elsewhere, same]) == [
            Added(first.id, is_new=False, is_same=False),
            Added(elsewhere.id, is_new=True),
            Added(first.id, is_new=False, is_same=True),
        ]
        assert len(await claim(queue, "a")) == 1

    opener.play(scenario)


def test_many_that_store_with_one_key_at_once_store_one_job(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queues = [opener.open() for _ in range(4)]
        jobs = [[job(idempotency_key=str(n)) for n in range(20)] for _ in queues]
        jobs[1].reverse()
        added = await asyncio.gather(*(q.add(some) for q, some in zip(queues, jobs, strict=True)))
        assert sum(one.is_new for some in added for one in some) == 20
        assert len({one.id for some in added for one in some}) == 20

    opener.play(scenario)


def test_a_receipt_is_known_once_the_message_it_is_about_is(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        queue = opener.open()
        await queue.add([job(trace=TRACE)])
        (held,) = await claim(queue, "a")
        known = Closed(held.id, TRACE)
        number = str(2**63 + 5)
        assert await queue.receive([receipt(number)]) == [None]
        await queue.settle("a", [settled(held, State.SENT, message_id=number)])
        elsewhere = receipt(number, account="other")
        assert await queue.receive([elsewhere, receipt(number), receipt("1")]) == [
            None,
            known,
            None,
        ]
        # Once more is no news.
        assert await queue.receive([receipt(number, state=State.FAILED)]) == [known]
        assert await queue.receive([]) == []

    opener.play(scenario)


def test_the_receipts_of_notices_close_the_oldest_one_of_user_and_template(
    opener: Opener[JobQueue],
) -> None:
    async def scenario() -> None:
        queue = opener.open()
        notice = {"channel": Channel.NOTICE}
        await queue.add([job(**notice), job(**notice), job(**notice, template_id="T2")])
        held = await claim(queue, "a", Ask("main", Channel.NOTICE, 10, 0))
        told = receipt("11", **notice, template_id="T1")
        assert await queue.receive([told]) == [None]
        await queue.settle("a", [settled(one, State.SENT) for one in held])
        again = told._replace(message_id="12")
        third = told._replace(message_id="13")
        closed = [Closed(one.id, "") for one in held]
        first, second, first_again, none = await queue.receive([told, again, told, third])
        assert {first, second} < {*closed}
        assert (first_again, none) == (first, None)
        last = told._replace(message_id="14", template_id="T2")
        assert {first, second, *await queue.receive([last])} == {*closed}

    opener.play(scenario)


def test_whoever_waits_is_woken_by_a_new_job(opener: Opener[JobQueue]) -> None:
    async def scenario() -> None:
        waiter, adder = opener.open(), opener.open()
        await waiter.wait(0.01)

        async def until_claimed() -> list[Held]:
            while not (got := await claim(waiter, "a")):
                await waiter.wait(LONG)
            return got

        waiting = asyncio.create_task(until_claimed())
        await asyncio.sleep(0.05)
        await adder.add([job()])
        assert len(await asyncio.wait_for(waiting, 10)) == 1

    opener.play(scenario)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A Postgres that may be killed."""
    with postgres_server(tmp_path / "postgres") as started:
        yield started


def test_a_server_that_is_gone_is_told_and_found_again(server: PostgresServer) -> None:
    dsn = migrated(server.dsn)

    async def scenario() -> None:
        queue = PostgresQueue(dsn, timeout=5)
        try:
            await queue.add([job()])
            await queue.wait(0.01)
            server.kill()
            for attempt in (queue.add([job()]), claim(queue, "a"), queue.orphans("a", 1)):
                with pytest.raises(StoreDown, match=r"store\.postgres_dsn"):
                    await attempt
            await queue.wait(0.01)
            server.start()
            assert len(await claim(queue, "a")) == 1
        finally:
            await queue.close()

    asyncio.run(scenario())
