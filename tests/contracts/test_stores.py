"""One suite over every Store: memory, SQLite, Redis."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.adapters import memory, redis, sqlite
from gateway.inbound import claims
from gateway.inbound.claims import (
    Ack,
    Claim,
    ClaimStep,
    Finish,
    GiveUp,
    Hold,
    Put,
    Release,
    Renew,
    Retry,
    State,
)
from gateway.inbound.ports import Store
from tests.contracts.stores import ENTRY, OTHER, A, B, Stores, put, states, step
from tests.services import RedisServer

FRESH, IN_FLIGHT, DONE, LOST = State

KINDS = ["memory", "sqlite", "redis"]


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A store of each kind, with nothing in it."""
    if request.param == "memory":
        one = memory.MemoryStore(keep=60)
        yield Stores(lambda: one)
    elif request.param == "sqlite":
        yield Stores(lambda: sqlite.SqliteStore(tmp_path / "g.db", keep=60, timeout=5))
    else:
        server: RedisServer = request.getfixturevalue("redis")
        yield Stores(lambda: redis.RedisStore(server.url, keep=60, timeout=5))


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> float:
    """Leases of a claim and of an entry that a test can wait for, in seconds."""
    for module in (claims, redis):
        monkeypatch.setattr(module, "LEASE_SECONDS", 0.15)
    for adapter in (memory, sqlite, redis):
        monkeypatch.setattr(adapter, "ENTRY_LEASE_SECONDS", 0.15)
    return 0.2


async def found(store: Store, claim: Claim) -> tuple[State, int]:
    """Return how a message stands, and how many deliveries it had."""
    outcome = await step(store, claim)
    return outcome.state, outcome.attempt


class TestClaims:
    """Who handles a message, and what its deliveries learn."""

    def test_the_first_delivery_is_fresh_the_second_waits_the_third_gets_the_reply(
        self, stores: Stores
    ) -> None:
        async def scenario() -> None:
            first, second = stores.open(), stores.open()
            assert await found(first, Claim(b"k", A)) == (FRESH, 1)
            assert await found(second, Claim(b"k", B)) == (IN_FLIGHT, 2)
            done = await step(first, Finish(b"k", A, b"\x00\xff reply"))
            assert (done.state, done.reply) == (DONE, b"\x00\xff reply")
            third = await step(second, Claim(b"k", B))
            assert (third.state, third.attempt, third.reply) == (DONE, 3, b"\x00\xff reply")

        stores.play(scenario)

    def test_keys_do_not_touch_each_other(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            keys = [b"a", b"b", b"\x00", b"\xff" * 16, b"a\x00"]
            assert await states(store, *(Claim(key, A) for key in keys)) == [FRESH] * 5
            await step(store, Finish(b"a", A, b"for a"))
            assert (await step(store, Claim(b"b", B))).state is IN_FLIGHT
            assert (await step(store, Claim(b"a", B))).reply == b"for a"

        stores.play(scenario)

    def test_a_delivery_that_asks_again_is_not_counted_again(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Claim(b"k", A))
            for _ in range(3):
                again = await step(store, Claim(b"k", B, again=True))
                assert (again.state, again.attempt) == (IN_FLIGHT, 1)
            assert (await step(store, Claim(b"k", B))).attempt == 2

        stores.play(scenario)

    def test_a_released_claim_is_fresh_to_the_next_delivery(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Claim(b"k", A))
            assert (await step(store, Release(b"k", B))).state is LOST
            assert (await step(store, Claim(b"k", B))).state is IN_FLIGHT
            assert (await step(store, Release(b"k", A))).state is DONE
            assert await found(store, Claim(b"k", B)) == (FRESH, 3)

        stores.play(scenario)

    def test_an_owner_that_claims_again_has_its_claim_still(self, stores: Stores) -> None:
        """As after a round trip whose answer was lost."""

        async def scenario() -> None:
            store = stores.open()
            assert await states(store, Claim(b"k", A), Claim(b"k", A)) == [FRESH, FRESH]
            assert (await step(store, Claim(b"k", B))).state is IN_FLIGHT

        stores.play(scenario)

    def test_a_dead_owners_claim_runs_out(self, stores: Stores, short_leases: float) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Claim(b"k", A))
            await asyncio.sleep(short_leases)
            taken = await step(store, Claim(b"k", B))
            assert (taken.state, taken.attempt) == (FRESH, 2)
            assert taken.age >= short_leases / 2
            assert (await step(store, Renew(b"k", A))).state is LOST
            assert (await step(store, Finish(b"k", A, b"too late"))).state is LOST
            assert (await step(store, Finish(b"k", B, b"reply"))).reply == b"reply"
            assert (await step(store, Finish(b"k", A, b"far too late"))).reply == b"reply"

        stores.play(scenario)

    def test_a_renewed_claim_does_not_run_out(self, stores: Stores, short_leases: float) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Claim(b"k", A))
            for _ in range(4):
                await asyncio.sleep(short_leases / 3)
                assert (await step(store, Renew(b"k", A))).state is IN_FLIGHT
            assert (await step(store, Claim(b"k", B))).state is IN_FLIGHT

        stores.play(scenario)

    def test_a_claim_that_the_store_does_not_know_is_made_again_by_its_renewal(
        self, stores: Stores
    ) -> None:
        """It was made while the store was away, or lost with it."""

        async def scenario() -> None:
            store = stores.open()
            assert (await step(store, Renew(b"k", A))).state is IN_FLIGHT
            assert (await step(store, Claim(b"k", B))).state is IN_FLIGHT
            await step(store, Finish(b"k", A, b"reply"))
            assert (await step(store, Renew(b"k", A))).state is LOST
            await step(store, Put(b"other", (ENTRY,), b"success", given_up=True))
            assert (await step(store, Renew(b"other", A))).state is IN_FLIGHT
            assert (await step(store, Claim(b"other", B, resume=True))).state is IN_FLIGHT

        stores.play(scenario)

    def test_a_message_is_forgotten_after_its_time(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            _forget_after(store, 0.1)
            await states(store, Claim(b"k", A), Finish(b"k", A, b"reply"))
            await asyncio.sleep(0.15)
            assert await found(store, Claim(b"k", B)) == (FRESH, 1)

        stores.play(scenario)

    def test_of_many_that_claim_at_once_one_is_fresh(self, stores: Stores) -> None:
        async def scenario() -> None:
            opened = [stores.open() for _ in range(4)]
            found = await asyncio.gather(
                *(
                    store.commit([Claim(b"%d" % key, owner) for key in range(20)])
                    for store, owner in zip(opened, (b"1", b"2", b"3", b"4"), strict=True)
                )
            )
            for outcomes in zip(*found, strict=True):
                assert sorted(outcome.state for outcome in outcomes) == [FRESH] + [IN_FLIGHT] * 3

        stores.play(scenario)

    def test_a_reply_is_welcome_where_its_claim_was_lost(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            assert (await step(store, Finish(b"k", A, b"reply"))).reply == b"reply"
            assert (await step(store, Claim(b"k", B))).reply == b"reply"

        stores.play(scenario)


class TestLateReplies:
    """What becomes of a message that was answered before it was handled."""

    def test_a_message_given_up_is_stored_and_its_late_reply_too(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Claim(b"k", A))
            given_up = await step(store, GiveUp(b"k", b"success", ENTRY))
            assert (given_up.state, given_up.reply) == (DONE, b"success")
            assert (await step(store, Claim(b"k", B))).reply == b"success"
            finished = await step(store, Finish(b"k", A, b"reply", (OTHER,)))
            assert (finished.state, finished.reply) == (DONE, b"success")
            assert [t.entry for t in await store.take("background", A, 9)] == [ENTRY]
            assert [t.entry for t in await store.take("customer_service", A, 9)] == [OTHER]
            assert (await step(store, Claim(b"k", B, resume=True))).state is DONE

        stores.play(scenario)

    def test_a_reply_that_came_first_is_not_given_up(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await states(store, Claim(b"k", A), Finish(b"k", A, b"reply", (OTHER,)))
            assert (await step(store, GiveUp(b"k", b"success", ENTRY))).reply == b"reply"
            assert await store.lanes() == []

        stores.play(scenario)

    def test_a_message_is_given_up_once(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            give_up = GiveUp(b"k", b"success", ENTRY)
            await states(store, Claim(b"k", A), give_up, give_up)
            assert len(await store.take("background", A, 9)) == 1

        stores.play(scenario)

    def test_a_consumer_waits_for_the_owner_and_goes_on_where_it_died(
        self, stores: Stores, short_leases: float
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            await states(store, Claim(b"k", A), GiveUp(b"k", b"success", ENTRY))
            resume = Claim(b"k", B, resume=True)
            assert (await step(store, resume)).state is IN_FLIGHT
            await asyncio.sleep(short_leases)
            assert (await step(store, resume)).state is FRESH
            late = await step(store, Finish(b"k", A, b"reply", (OTHER,)))
            assert (late.state, late.reply) == (DONE, b"success")
            assert await states(store, Finish(b"k", B, b"reply", (OTHER,)), resume) == [DONE, DONE]
            assert len(await store.take("customer_service", A, 9)) == 1

        stores.play(scenario)

    def test_a_consumer_goes_on_at_once_where_the_handler_failed(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            give_up = GiveUp(b"k", b"success", ENTRY)
            await states(store, Claim(b"k", A), give_up, Release(b"k", A))
            assert (await step(store, Claim(b"k", B, resume=True))).state is FRESH

        stores.play(scenario)

    def test_a_consumer_goes_on_with_a_message_that_was_forgotten_meanwhile(
        self, stores: Stores
    ) -> None:
        """Its entry waited for longer than claims are remembered, or its claim was lost."""

        async def scenario() -> None:
            store = stores.open()
            resume = Claim(b"k", A, reply=b"success", resume=True)
            assert (await step(store, resume)).state is FRESH
            assert (await step(store, replace(resume, owner=B))).state is IN_FLIGHT
            finish = Finish(b"k", A, b"success", (OTHER,), resumed=True)
            assert await states(store, finish, resume) == [DONE, DONE]
            assert len(await store.take("customer_service", A, 9)) == 1

        stores.play(scenario)

    def test_what_a_process_did_without_the_store_is_put_into_it_once(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            done = Put(b"k", (ENTRY, OTHER), b"reply")
            for _ in range(3):
                assert (await step(store, done)).reply == b"reply"
            assert len(await store.take("background", A, 9)) == 1
            assert len(await store.take("customer_service", A, 9)) == 1
            assert (await step(store, Claim(b"k", B, (ENTRY,)))).reply == b"reply"
            assert await store.take("background", A, 9) == []

        stores.play(scenario)

    def test_a_message_given_up_without_the_store_is_resumed_from_it(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Put(b"k", (ENTRY,), b"success", given_up=True))
            assert (await step(store, Claim(b"k", A))).reply == b"success"
            assert (await step(store, Claim(b"k", B, resume=True))).state is FRESH

        stores.play(scenario)

    def test_a_message_that_was_handled_without_the_store_is_not_handled_again(
        self, stores: Stores
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            await step(store, Put(b"k", (ENTRY,), b"success", given_up=True))
            await step(store, Put(b"k", (), b"success"))
            assert (await step(store, Claim(b"k", B, resume=True))).state is DONE

        stores.play(scenario)

    def test_a_reply_that_nobody_saw_does_not_undo_that_a_message_was_given_up(
        self, stores: Stores
    ) -> None:
        """Two processes handled it, each without the store; one of them told WeChat success."""

        async def scenario() -> None:
            store = stores.open()
            given_up = Put(b"k", (), b"success", given_up=True)
            unseen = Put(b"k", (), b"reply of another")
            for first, second in ((given_up, unseen), (unseen, given_up)):
                key = first.key + second.reply
                await states(store, replace(first, key=key), replace(second, key=key))
                assert (await step(store, Claim(key, A))).reply == b"success"
                await step(store, Finish(key, A, b"reply", (OTHER,)))
            assert len(await store.take("customer_service", A, 9)) == 2

        stores.play(scenario)


class TestEntries:
    """What is stored for later, and who has it."""

    def test_a_background_message_is_stored_and_done_in_one_step(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            claim = Claim(b"k", A, (ENTRY,), b"success")
            assert (await step(store, claim)).state is FRESH
            assert (await step(store, claim)).reply == b"success"
            (taken,) = await store.take("background", A, 9)
            assert (taken.entry, taken.deliveries) == (ENTRY, 1)
            assert await store.take("background", B, 9) == []

        stores.play(scenario)

    def test_a_failed_handlers_events_are_not_stored_again_with_the_retry(
        self, stores: Stores
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            claim = Claim(b"k", A, (ENTRY,))
            assert await states(store, claim, Release(b"k", A), claim) == [FRESH, DONE, FRESH]
            assert len(await store.take("background", A, 9)) == 1

        stores.play(scenario)

    def test_entries_come_in_the_order_in_which_they_were_stored(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            bodies = [b"%d" % number for number in range(25)]
            for body in bodies[:5]:
                await put(store, ENTRY._replace(body=body), key=body)
            await store.commit(
                [Claim(body, A, (ENTRY._replace(body=body),), b"s") for body in bodies[5:]]
            )
            taken = []
            while more := await store.take("background", A, 10):
                taken += more
            assert [one.entry.body for one in taken] == bodies
            assert len({one.id for one in taken}) == 25

        stores.play(scenario)

    def test_an_acknowledged_entry_is_gone_and_what_came_of_it_is_stored(
        self, stores: Stores
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            (taken,) = await store.take("background", A, 9)
            assert (await step(store, Ack("background", taken.id, (OTHER,)))).state is DONE
            (status,) = await store.lanes()
            assert (status.lane, status.waiting) == ("customer_service", 1)

        stores.play(scenario)

    def test_an_entry_that_two_consumers_had_is_done_once(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            (taken,) = await store.take("background", A, 9)
            done = Ack("background", taken.id, (OTHER,))
            assert await states(store, done, done) == [DONE, LOST]
            assert len(await store.take("customer_service", A, 9)) == 1

        stores.play(scenario)

    def test_a_dead_consumers_entries_are_taken_by_another(
        self, stores: Stores, short_leases: float
    ) -> None:
        async def scenario() -> None:
            dead, alive = stores.open(), stores.open()
            for number in range(30):
                await put(dead, ENTRY._replace(body=b"%d" % number), key=b"%d" % number)
            assert len(await dead.take("background", A, 30)) == 30
            assert await alive.take("background", B, 9) == []
            await asyncio.sleep(short_leases)
            taken = []
            while more := await alive.take("background", B, 7):
                taken += more
            assert {one.entry.body for one in taken} == {b"%d" % number for number in range(30)}
            assert {one.deliveries for one in taken} == {2}

        stores.play(scenario)

    def test_an_entry_that_is_held_stays_its_consumers(
        self, stores: Stores, short_leases: float
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            (taken,) = await store.take("background", A, 9)
            for _ in range(4):
                await asyncio.sleep(short_leases / 3)
                assert (await step(store, Hold("background", taken.id, A))).state is IN_FLIGHT
                assert await store.take("background", B, 9) == []
            await asyncio.sleep(short_leases)
            (again,) = await store.take("background", B, 9)
            # Holding it is not taking it.
            assert again.deliveries == 2
            assert (await step(store, Hold("background", taken.id, A))).state is LOST

        stores.play(scenario)

    def test_a_retry_comes_after_its_pause_with_its_count(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            (taken,) = await store.take("background", A, 9)
            assert (await step(store, Retry("background", taken.id, 0.2, 1))).state is DONE
            assert await store.take("background", A, 9) == []
            (status,) = await store.lanes()
            assert (status.waiting, status.delayed, status.held) == (0, 1, 0)
            await asyncio.sleep(0.25)
            (again,) = await store.take("background", B, 9)
            assert (again.entry, again.deliveries) == (ENTRY, 2)
            assert again.stored_at == pytest.approx(taken.stored_at, abs=0.002)
            assert (await step(store, Retry("background", again.id, 0.0, 1))).state is DONE
            (postponed,) = await store.take("background", B, 9)
            assert postponed.deliveries == 2

        stores.play(scenario)

    def test_what_is_gone_can_neither_be_retried_nor_held(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            (taken,) = await store.take("background", A, 9)
            gone = Ack("background", taken.id)
            again = Retry("background", taken.id, 0, 1)
            held = Hold("background", taken.id, A)
            assert await states(store, gone, again, held) == [DONE, LOST, LOST]
            assert await store.lanes() == []

        stores.play(scenario)

    def test_a_delayed_entry_waits_for_its_time(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY._replace(delay=0.2), ENTRY)
            (first,) = await store.take("background", A, 9)
            await step(store, Ack("background", first.id))
            (status,) = await store.lanes()
            assert (status.delayed, status.waiting) == (1, 0)
            await asyncio.sleep(0.25)
            (late,) = await store.take("background", A, 9)
            assert late.entry == ENTRY

        stores.play(scenario)

    def test_the_lanes_tell_how_full_and_how_late_they_are(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY, ENTRY, ENTRY, OTHER)
            await store.take("background", A, 1)
            await asyncio.sleep(0.05)
            background, customer_service = await store.lanes()
            assert background[:4] == ("background", 2, 0, 1)
            assert customer_service[:4] == ("customer_service", 1, 0, 0)
            assert background.oldest >= 0.04

        stores.play(scenario)

    def test_two_consumers_never_take_the_same(self, stores: Stores) -> None:
        async def scenario() -> None:
            one, other = stores.open(), stores.open()
            await one.commit(
                [Claim(b"%d" % n, A, (ENTRY._replace(body=b"%d" % n),), b"s") for n in range(60)]
            )
            taken = await asyncio.gather(
                *(store.take("background", name, 5) for store, name in ((one, A), (other, B)) * 6)
            )
            bodies = [one.entry.body for some in taken for one in some]
            assert len(bodies) == len(set(bodies)) == 60

        stores.play(scenario)


class TestLookingBack:
    """What is kept of a message, to whoever asks for it by its key."""

    def test_a_message_is_recalled_as_it_stands(self, stores: Stores) -> None:
        async def scenario() -> None:
            store, began = stores.open(), time.time() - 0.01
            assert await store.recall(b"k") is None
            await states(store, Claim(b"k", A), Claim(b"k", B))
            record = await store.recall(b"k")
            assert record is not None
            assert (record.attempts, record.owner, record.reply) == (2, A, b"")
            assert began <= record.first <= time.time()
            assert record.lease > record.first + 1
            assert await store.recall(b"other") is None

        stores.play(scenario)

    @pytest.mark.parametrize(
        "last",
        [
            [Claim(b"k", A, reply=b"success")],
            [Claim(b"k", A), Finish(b"k", A, b"success")],
            [Claim(b"k", A), GiveUp(b"k", b"success", ENTRY), Finish(b"k", A, b"late")],
        ],
        ids=["at once", "finished", "late"],
    )
    def test_of_what_was_answered_it_is_known_when(
        self, stores: Stores, last: list[ClaimStep]
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            for one in last:
                await step(store, one)
            record = await store.recall(b"k")
            assert record is not None
            assert (record.owner, record.reply, record.given_up) == (b"", b"success", False)
            assert record.first <= record.lease <= time.time() + 0.01

        stores.play(scenario)

    def test_what_is_answered_before_it_is_handled_is_recalled_as_that(
        self, stores: Stores
    ) -> None:
        async def scenario() -> None:
            store = stores.open()
            await states(store, Claim(b"k", A), GiveUp(b"k", b"success", ENTRY))
            record = await store.recall(b"k")
            assert record is not None
            assert (record.owner, record.given_up) == (A, True)

        stores.play(scenario)

    def test_entries_are_found_by_what_is_in_them(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            others = [ENTRY._replace(body=b"%d" % number) for number in range(700)]
            wanted = ENTRY._replace(body=b"a\x00\xffz")
            late = wanted._replace(delay=60.0)
            await put(store, *others, wanted, late, wanted._replace(lane="elsewhere"))
            found = await store.mentioning(ENTRY.lane, [b"\x00\xff"], 2000)
            assert [(one.entry, one.deliveries, one.is_held) for one in found] == [
                (wanted, 0, False),
                (wanted, 0, False),
            ]
            now, later = found
            assert now.due is None
            assert later.due is not None
            assert 50 < later.due - later.stored_at <= 60.1
            assert await store.mentioning(ENTRY.lane, [b"\x00\xff"], 600) in ([], [later])
            assert await store.mentioning("none", [b"\x00\xff"], 600) == []

        stores.play(scenario)

    def test_of_an_entry_that_is_handled_it_is_told_that_it_is(self, stores: Stores) -> None:
        async def scenario() -> None:
            store = stores.open()
            await put(store, ENTRY)
            await store.take(ENTRY.lane, A, 1)
            (one,) = await store.mentioning(ENTRY.lane, [b"nothing", b"body", b"od"], 10)
            assert (one.deliveries, one.is_held, one.due) == (1, True, None)

        stores.play(scenario)


def test_an_empty_lane_gives_nothing(stores: Stores) -> None:
    async def scenario() -> None:
        store = stores.open()
        assert await store.take("nobody wrote here", A, 9) == []
        assert await store.lanes() == []
        await store.ping()
        assert await store.commit([]) == []

    stores.play(scenario)


def test_what_one_process_stored_another_finds_after_it_closed(stores: Stores) -> None:
    async def scenario() -> None:
        before = stores.open()
        await put(before, ENTRY)
        if stores.open() is before:
            # Memory is nobody else's.
            return
        await before.close()
        assert [t.entry for t in await stores.open().take("background", B, 9)] == [ENTRY]

    stores.play(scenario)


_OWNERS = st.sampled_from([A, B])
_KEYS = st.sampled_from([b"k", b"\xff\x00"])
_REPLIES = st.sampled_from([b"one", b"two"])
_ENTRIES = st.sampled_from([(), (ENTRY,), (ENTRY, OTHER)])
_STEPS: st.SearchStrategy[ClaimStep] = st.one_of(
    st.builds(
        Claim,
        _KEYS,
        _OWNERS,
        _ENTRIES,
        st.sampled_from([b"", b"now"]),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Finish, _KEYS, _OWNERS, _REPLIES, _ENTRIES),
    st.builds(GiveUp, _KEYS, st.just(b"success"), st.just(ENTRY)),
    st.builds(Release, _KEYS, _OWNERS),
    st.builds(Renew, _KEYS, _OWNERS),
    st.builds(Put, _KEYS, _ENTRIES, st.sampled_from([b"", b"put"]), st.booleans()),
)


@given(batches=st.lists(st.lists(_STEPS, max_size=8), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_steps_have_the_outcomes_that_the_rules_say(
    stores: Stores, batches: list[list[ClaimStep]]
) -> None:
    """Whatever is done in whichever order, in whichever batches: the same as in memory."""
    # Keys of their own for each example, for they share a store.
    salt = os.urandom(8)
    salted = [[replace(one, key=salt + one.key) for one in batch] for batch in batches]

    async def scenario() -> None:
        store, rules = stores.open(), memory.MemoryStore(keep=60)
        before = {status.lane: status.waiting for status in await store.lanes()}
        for batch in salted:
            found = await store.commit(batch)
            assert [_ageless(one) for one in found] == [
                _ageless(one) for one in await rules.commit(batch)
            ]
        after = {status.lane: status.waiting for status in await store.lanes()}
        assert {lane: n - before.get(lane, 0) for lane, n in after.items() if n} == {
            **dict.fromkeys(before, 0),
            **{status.lane: status.waiting for status in await rules.lanes()},
        }

    stores.play(scenario)


def _ageless(outcome: claims.Outcome) -> claims.Outcome:
    return replace(outcome, age=0.0)


def _forget_after(store: object, seconds: float) -> None:
    if isinstance(store, memory.MemoryStore):
        store._claims._keep = seconds
    elif isinstance(store, sqlite.SqliteStore):
        store._keep = seconds
    elif isinstance(store, redis.RedisStore):
        milliseconds = [int(s * 1000) for s in (seconds, 3, 30)]
        store._times = redis._pack(milliseconds)
