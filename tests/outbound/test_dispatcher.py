"""The worker pool, against a simulated platform: what users received is in its ledger."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.outbound.budgets import Rate
from gateway.outbound.gates import Route
from gateway.outbound.jobs import Ask, Channel, Held, Settled, State, Wanted
from gateway.simulator.api.faults import ApiFault
from gateway.simulator.api.quotas import Quota
from tests.outbound.desk import SECRET, Desk, desk
from tests.outbound.pool import ACCOUNT, DATA, QUICK, Workers, user, workers

ENDS = (State.SENT, State.FAILED, State.EXPIRED, State.DEAD, State.AMBIGUOUS)
TEXT = {"msgtype": "text", "text": {"content": "你好"}}


def received(at: Desk) -> Counter[str]:
    """Return how many messages each user received."""
    return Counter(one.open_id for one in at.account.ledger.received)


async def let_write(at: Desk, *users: int) -> None:
    """Let users write, so that customer service may answer them."""
    for one in users:
        found = at.account.user(user(one))
        assert found is not None
        found.wrote_at, found.answers_left = at.clock(), 5


def test_each_message_is_sent_once_and_its_number_is_kept(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.start()
        ids = await pool.shipped(*range(200))
        done = await pool.until(State.SENT)
        # By id, which says nothing of the order within a millisecond.
        assert [one.id for one in done] == sorted(ids)
        assert received(at) == {user(number): 1 for number in range(200)}
        numbers = {one.message_id for one in at.account.ledger.received}
        assert {int(one.message_id or 0) for one in done} == numbers
        assert {len(one.attempts) for one in done} == {1}

    _play(tmp_path, scenario)


def test_several_workers_share_what_there_is(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.shipped(*range(300))
        for name in ("a", "b", "c"):
            await pool.start(name)
        await pool.until(State.SENT)
        assert received(at) == {user(number): 1 for number in range(300)}

    _play(tmp_path, scenario, concurrency=8)


def test_whatever_goes_wrong_each_user_gets_a_template_message_once(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.start()
        await pool.shipped(0)
        await pool.until(State.SENT)
        kinds = (
            *(ApiFault.BUSY, ApiFault.STATUS, ApiFault.RESET_BEFORE),
            *(ApiFault.RESET_AFTER, ApiFault.HALF),
        )
        at.faults.rates = dict.fromkeys(kinds, 0.05)
        await pool.shipped(*range(1, 200))
        at.account.tokens.kill()
        done = await pool.until(State.SENT)
        assert received(at) == {user(number): 1 for number in range(200)}
        assert max(one.tries for one in done) > 1
        # Whoever was told of nothing was asked again, and told the same.
        assert len({one.message_id for one in done}) == 200

    _play(tmp_path, scenario, terms=QUICK._replace(max_attempts=50))


def test_what_may_have_arrived_elsewhere_is_left_to_a_person(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.faults.rates = {ApiFault.RESET_AFTER: 0.2, ApiFault.RESET_BEFORE: 0.2}
        await let_write(at, *range(40))
        await pool.start()
        for number in range(40):
            await pool.push.custom(ACCOUNT, user(number), TEXT)
        done = await pool.until(State.SENT, State.AMBIGUOUS)
        assert set(received(at).values()) == {1}
        unsure = {one.to for one in done if one.state is State.AMBIGUOUS}
        # Nobody who is said to have it lacks it; who is not sure of may have it or not.
        assert {user(n) for n in range(40)} - set(received(at)) < unsure
        assert unsure & set(received(at))
        assert {one.reason for one in done} == {"", "unanswered"}

    _play(tmp_path, scenario, concurrency=2)


def test_a_user_who_cannot_be_reached_ends_a_job_and_tells_why(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        gone = at.account.user(user(1))
        assert gone is not None
        gone.subscribed = False
        await pool.start()
        await pool.shipped(1)
        (done,) = await pool.until(State.FAILED)
        assert done.reason.startswith("user: 43004")
        assert len(done.attempts) == 1

    _play(tmp_path, scenario)


def test_a_used_up_quota_pauses_its_channel_alone_and_burns_no_attempt(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.account.quotas.limits["/cgi-bin/message/template/send"] = Quota(10)
        await let_write(at, *range(30))
        await pool.start()
        await pool.shipped(*range(30))
        for number in range(30):
            await pool.push.custom(ACCOUNT, user(number), TEXT)
        while len(await pool.all(State.SENT)) < 40:
            await asyncio.sleep(0.02)
        waiting = await pool.all(State.QUEUED)
        assert len(waiting) == 20
        assert {one.tries for one in waiting} == {0}
        # Those that WeChat refused told of the limit; the others were not even tried.
        assert len([one for one in waiting if one.attempts]) < 20
        at.account.quotas.limits["/cgi-bin/message/template/send"] = Quota(1000)
        at.clock.offset += 86_400
        await pool.until(State.SENT)
        assert set(received(at).values()) == {2}

    _play(tmp_path, scenario, concurrency=4)


def test_an_account_that_is_not_set_up_makes_few_dead_letters_of_a_backlog(
    tmp_path: Path,
) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.account.secret = "another since yesterday"  # made up
        await pool.shipped(*range(100))
        await pool.start()
        while not await pool.all(State.DEAD):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        dead = await pool.all(State.DEAD)
        assert len(dead) <= 4
        assert dead[0].reason.startswith("config: 40125")
        at.account.secret = SECRET
        at.clock.offset += 61
        while len(await pool.all(State.SENT)) + len(dead) < 100:
            await asyncio.sleep(0.02)
        # Those are sent once somebody says so.
        assert await pool.records.retry(Wanted(states=(State.DEAD,)), 100, at.clock()) == len(dead)
        await pool.until(State.SENT)
        assert received(at) == {user(number): 1 for number in range(100)}

    _play(tmp_path, scenario, concurrency=4)


def test_what_would_come_too_late_is_not_sent(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.shipped(1, expires_at=at.clock() + 60)
        await pool.shipped(2)
        at.clock.offset += 61
        await pool.start()
        done = await pool.until(State.SENT, State.EXPIRED)
        assert {one.to: one.state for one in done} == {
            user(1): State.EXPIRED,
            user(2): State.SENT,
        }
        assert received(at) == {user(2): 1}

    _play(tmp_path, scenario)


def test_what_is_to_go_later_waits_for_its_time(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.start()
        await pool.shipped(1, not_before=at.clock() + 60)
        await pool.shipped(2)
        while len(await pool.all(State.SENT)) < 1:
            await asyncio.sleep(0.02)
        assert received(at) == {user(2): 1}
        at.clock.offset += 61
        await pool.until(State.SENT)
        assert received(at) == {user(1): 1, user(2): 1}

    _play(tmp_path, scenario)


def test_a_rate_is_kept_over_all_workers(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        began = at.clock()
        await pool.shipped(*range(60))
        for name in ("a", "b"):
            await pool.start(name)
        await pool.until(State.SENT)
        took = at.account.ledger.received[-1].at - began
        # 20 at once, and 40 a second from then on.
        assert took >= (60 - 20) / 40 - 0.01
        assert received(at) == {user(number): 1 for number in range(60)}

    rates = {Route(ACCOUNT, Channel.TEMPLATE): Rate(40.0, 20)}
    _play(tmp_path, scenario, rates=rates)


def test_a_stop_waits_for_answers_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.faults.latency = 0.3
        await pool.shipped(*range(50))
        worker = await pool.start()
        while not await pool.all(State.SENDING):
            await asyncio.sleep(0.01)
        await worker.stop(5.0)
        pool.started.clear()
        states = Counter(one.state for one in await pool.all())
        assert states == {State.SENT: 8, State.QUEUED: 42}
        assert len(received(at)) == 8

    _play(tmp_path, scenario, concurrency=8)


def test_what_is_not_answered_in_time_to_stop_is_repeated_only_where_that_does_no_harm(
    tmp_path: Path,
) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.faults.latency = 1.0
        await let_write(at, 1)
        await pool.shipped(0)
        await pool.push.custom(ACCOUNT, user(1), TEXT)
        worker = await pool.start()
        while len(await pool.all(State.SENDING)) < 2:
            await asyncio.sleep(0.01)
        await worker.stop(0.1)
        pool.started.clear()
        states = {one.channel: one.state for one in await pool.all()}
        assert states == {Channel.TEMPLATE: State.QUEUED, Channel.CUSTOM: State.AMBIGUOUS}
        at.faults.latency = 0.0
        await pool.start("next")
        await pool.until(State.SENT, State.AMBIGUOUS)
        assert received(at)[user(0)] == 1

    _play(tmp_path, scenario)


def test_the_jobs_of_a_worker_that_died_are_finished_by_another(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await let_write(at, 1)
        await pool.shipped(0)
        await pool.push.custom(ACCOUNT, user(1), TEXT)
        await pool.queue.beat("dead", 0.0)
        for route in (Route(ACCOUNT, Channel.TEMPLATE), Route(ACCOUNT, Channel.CUSTOM)):
            assert await pool.queue.claim("dead", [Ask(*route, 1, 0)], 1)
        await pool.start()
        done = {one.channel: one for one in await pool.until(State.SENT, State.AMBIGUOUS)}
        assert done[Channel.TEMPLATE].state is State.SENT
        # Nobody knows whether it was sent before its worker died.
        assert done[Channel.CUSTOM].state is State.AMBIGUOUS
        assert done[Channel.CUSTOM].reason == "interrupted: its worker stopped or died"
        assert received(at) == {user(0): 1}

    _play(tmp_path, scenario)


def test_what_was_claimed_before_a_standstill_is_not_sent_behind_it(tmp_path: Path) -> None:
    """A process that was paused for longer than it holds its jobs: others have them by then."""

    class Slow(SqliteQueue):
        stands_still = 0.0

        async def claim(self, worker: str, asks: Sequence[Ask], limit: int) -> list[Held]:
            held = await super().claim(worker, asks, limit)
            if held and self.stands_still:
                # Not asyncio.sleep: nothing of this process goes on.
                time.sleep(self.stands_still)  # noqa: ASYNC251
                self.stands_still = 0.0
            return held

    async def scenario(at: Desk, pool: Workers) -> None:
        slow = Slow(tmp_path / "gateway.db", timeout=5, clock=at.clock)
        slow.stands_still = 1.0
        pool.queue = slow
        await pool.shipped(0, 1)
        await pool.start(lease=0.9)
        await pool.until(State.SENT)
        assert received(at) == {user(0): 1, user(1): 1}
        # They went back as they were, and were sent by a claim that was in time.
        assert {len(one.attempts) for one in await pool.all()} == {1}

    _play(tmp_path, scenario)


def test_retries_do_not_hold_up_first_attempts(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.shipped(*range(50))
        await pool.queue.beat("before", 60)
        failed = await pool.queue.claim("before", [Ask(ACCOUNT, Channel.TEMPLATE, 50, 0)], 50)
        now = at.clock()
        again = [Settled(one.id, State.QUEUED, now, "busy", 1, None, ()) for one in failed]
        assert len(await pool.queue.settle("before", again)) == 50
        await pool.shipped(99)
        await pool.start()
        await pool.until(State.SENT)
        order = [one.open_id for one in at.account.ledger.received]
        assert order.index(user(99)) < 4

    _play(tmp_path, scenario, concurrency=4)


def test_a_message_of_high_priority_overtakes_those_that_wait(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        at.faults.latency = 0.02
        await pool.shipped(*range(50))
        await pool.shipped(99, priority="high")
        await pool.start()
        await pool.until(State.SENT)
        order = [one.open_id for one in at.account.ledger.received]
        assert order.index(user(99)) < 8

    _play(tmp_path, scenario, concurrency=4)


def test_the_same_key_pushes_once(tmp_path: Path) -> None:
    async def scenario(at: Desk, pool: Workers) -> None:
        await pool.start()
        ids = await asyncio.gather(
            *(
                pool.push.template(
                    ACCOUNT, user(1), "order-shipped", DATA, idempotency_key="order-1"
                )
                for _ in range(20)
            )
        )
        assert len(set(ids)) == 1
        await pool.until(State.SENT)
        assert received(at) == {user(1): 1}

    _play(tmp_path, scenario)


def _play(folder: Path, scenario: object, **given: object) -> None:
    async def run() -> None:
        async with desk() as at, workers(at, folder, **given) as pool:
            await scenario(at, pool)  # type: ignore[operator]  # a scenario

    asyncio.run(run())
