"""Group commit: concurrent steps share a round trip, and fail alone."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.errors import StoreDown
from gateway.inbound.claims import Claim, Outcome, State, Step
from gateway.inbound.commit import MAX_BATCH, GroupCommit


class Slow:
    """A store whose round trips end when they are told to."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def commit(self, steps: Sequence[Step]) -> list[Outcome | StoreDown]:
        """Note the keys, wait, answer each step with its key; fail those that say so."""
        self.batches.append([_key(step) for step in steps])
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return [
            StoreDown("this one") if _key(step) == b"bad" else Outcome(State.DONE, reply=_key(step))
            for step in steps
        ]


def _key(step: Step) -> bytes:
    assert isinstance(step, Claim)
    return step.key


def _claim(key: bytes) -> Claim:
    return Claim(key, b"owner")


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_is_ready_together_goes_together_and_at_once() -> None:
    async def scenario() -> None:
        store = Slow()
        commit = GroupCommit(store.commit)
        futures = [commit.submit(_claim(b"%d" % n)) for n in range(3)]
        await _turn()
        assert store.batches == [[b"0", b"1", b"2"]]
        store.answers[0].set_result(None)
        assert [(await future).reply for future in futures] == [b"0", b"1", b"2"]

    asyncio.run(scenario())


def test_what_comes_during_a_round_trip_shares_the_next_one() -> None:
    async def scenario() -> None:
        store = Slow()
        commit = GroupCommit(store.commit)
        first = commit.submit(_claim(b"first"))
        await _turn()
        others = [commit.submit(_claim(b"%d" % n)) for n in range(MAX_BATCH + 1)]
        commit.post(_claim(b"nobody waits"))
        await _turn()
        assert len(store.batches) == 1
        store.answers[0].set_result(None)
        await first
        await _turn()
        assert len(store.batches[1]) == MAX_BATCH
        store.answers[1].set_result(None)
        await _turn()
        assert store.batches[2] == [b"%d" % MAX_BATCH, b"nobody waits"]
        store.answers[2].set_result(None)
        assert [(await other).reply for other in others] == [
            b"%d" % n for n in range(MAX_BATCH + 1)
        ]
        await commit.flush()

    asyncio.run(scenario())


def test_a_batch_that_fails_fails_each_of_its_steps_alone() -> None:
    async def scenario() -> None:
        store = Slow()
        commit = GroupCommit(store.commit)
        failing = [commit.submit(_claim(b"%d" % n)) for n in range(3)]
        await _turn()
        store.answers[0].set_exception(StoreDown("no disk"))
        errors = await asyncio.gather(*failing, return_exceptions=True)
        assert [str(error) for error in errors] == ["no disk"] * 3
        # One that is raised twice would gather the frames of both.
        assert len({id(error) for error in errors}) == 3
        good = commit.submit(_claim(b"good"))
        await _turn()
        store.answers[1].set_result(None)
        assert (await good).reply == b"good"

    asyncio.run(scenario())


def test_a_step_may_fail_among_others() -> None:
    async def scenario() -> None:
        store = Slow()
        commit = GroupCommit(store.commit)
        good, bad = commit.submit(_claim(b"good")), commit.submit(_claim(b"bad"))
        await _turn()
        store.answers[0].set_result(None)
        assert (await good).reply == b"good"
        with pytest.raises(StoreDown, match="this one"):
            await bad

    asyncio.run(scenario())


def test_who_stopped_waiting_disturbs_nobody() -> None:
    async def scenario() -> None:
        store = Slow()
        commit = GroupCommit(store.commit)
        gone, there = (asyncio.ensure_future(commit.submit(_claim(k))) for k in (b"gone", b"there"))
        await _turn()
        gone.cancel()
        store.answers[0].set_result(None)
        assert (await there).reply == b"there"
        await commit.flush()

    asyncio.run(scenario())


def test_a_store_of_this_process_is_asked_at_once_and_without_a_batch() -> None:
    async def scenario() -> None:
        taken: list[bytes] = []

        def take_step(step: Step) -> Outcome:
            taken.append(_key(step))
            return Outcome(State.DONE, reply=_key(step))

        store = Slow()
        commit = GroupCommit(store.commit, take_step)
        waiting = commit.submit(_claim(b"1"))
        commit.post(_claim(b"2"))
        assert taken == [b"1", b"2"]
        assert (await waiting).reply == b"1"
        await commit.flush()
        assert store.batches == []

    asyncio.run(scenario())
