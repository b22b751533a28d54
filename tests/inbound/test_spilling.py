"""A store that is down costs no message: claims go on in the process, entries wait on disk."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.adapters.memory import MemoryStore
from gateway.adapters.spill import FileSpill
from gateway.errors import StoreDown
from gateway.inbound import spilling
from gateway.inbound.claims import (
    Ack,
    Claim,
    Entry,
    Finish,
    GiveUp,
    Outcome,
    Put,
    Renew,
    State,
    Step,
)
from gateway.inbound.spilling import Spilling

FRESH, IN_FLIGHT, DONE, LOST = State
A, B = b"process1", b"process2"


def _entry(body: bytes = b"body") -> Entry:
    return Entry("background", "main", "Text", body)


class Faulty(MemoryStore):
    """A store that fails; before it does what it is asked, or after."""

    def __init__(self) -> None:
        super().__init__(60)
        self.down = False
        self.lands = False
        """Whether a write lands although its answer is lost."""
        self.puts: list[bytes] = []

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps, or fail."""
        if self.down and not self.lands:
            raise StoreDown("the store is down")
        self.puts += [e.body for s in steps if isinstance(s, Put) for e in s.entries]
        outcomes = await super().commit(steps)
        if self.down:
            raise StoreDown("its answer is lost")
        return outcomes

    async def ping(self) -> None:
        """Return if it is up."""
        if self.down:
            raise StoreDown("the store is down")

    def bodies(self) -> list[bytes]:
        """Return the bodies of all entries, in order."""
        return [kept.entry.body for kept in self._entries.values()]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after the store more often."""
    monkeypatch.setattr(spilling, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(spilling, "ADOPT_SECONDS", 0.02)


class Process:
    """What one process keeps: its store's keeper, over a folder and a store of all."""

    def __init__(self, store: Faulty, folder: Path, name: str = "one") -> None:
        self.spill = FileSpill(folder, name)
        self.keeper = Spilling(store, self.spill, keep=60)

    async def commit(self, *steps: Step) -> list[Outcome | StoreDown]:
        """Commit the steps in one batch."""
        return await self.keeper.commit(steps)

    async def back(self) -> None:
        """Wait until the store is used again and nothing is spilled."""
        while self.keeper.down or self.keeper.spilled_age():
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End in good order."""
        await self.keeper.close()
        await self.spill.close()


def play(scenario: Callable[[], Awaitable[Any]]) -> None:
    """Run a scenario, but not for ever."""

    async def run() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(run())


def _states(outcomes: list[Outcome | StoreDown]) -> list[State]:
    return [outcome.state for outcome in outcomes if isinstance(outcome, Outcome)]


def test_messages_wait_on_disk_and_drain_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.keeper.start()
        store.down = True
        for number in range(300):
            key = body = b"%03d" % number
            (outcome,) = await process.commit(Claim(key, A, (_entry(body),), b"success"))
            assert outcome == Outcome(FRESH, 1)
        assert process.keeper.down == "the store is down"
        assert process.keeper.spilled_age() > 0
        assert store.bodies() == []
        store.down = False
        await process.back()
        assert store.bodies() == [b"%03d" % number for number in range(300)]
        assert list(tmp_path.glob("*")) == [] or (tmp_path / "one.spill").stat().st_size == 0
        await process.close()

    play(scenario)


def test_dedupe_goes_on_in_the_process_and_is_told_to_the_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.keeper.start()
        store.down = True
        claim, finish = Claim(b"k", A), Finish(b"k", A, b"reply")
        assert _states(await process.commit(claim, replace(claim, owner=B))) == [FRESH, IN_FLIGHT]
        assert _states(await process.commit(finish, claim)) == [DONE, DONE]
        store.down = False
        await process.back()
        # Another process learns of it from the store.
        (outcome,) = await store.commit([Claim(b"k", B)])
        assert outcome.reply == b"reply"
        await process.close()

    play(scenario)


def test_a_write_that_landed_though_its_answer_was_lost_is_there_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.keeper.start()
        store.down = store.lands = True
        claim = Claim(b"k", A, (_entry(),), b"success")
        assert _states(await process.commit(claim)) == [FRESH]
        store.down = False
        await process.back()
        assert store.puts == [b"body"]
        assert store.bodies() == [b"body"]
        await process.close()

    play(scenario)


def test_a_handler_that_began_before_the_fall_may_end_during_or_after_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.keeper.start()
        await process.commit(Claim(b"before", A))
        store.down = True
        await process.commit(Claim(b"during", A))
        assert _states(await process.commit(Finish(b"before", A, b"one"))) == [DONE]
        store.down = False
        await process.back()
        assert _states(await process.commit(Finish(b"during", A, b"two"))) == [DONE]
        outcomes = await process.commit(Claim(b"before", B), Claim(b"during", B))
        assert [o.reply for o in outcomes if isinstance(o, Outcome)] == [b"one", b"two"]
        await process.close()

    play(scenario)


@pytest.mark.parametrize("back_first", [False, True], ids=["ends while down", "ends when back"])
def test_a_message_given_up_while_down_is_answered_late_once(
    tmp_path: Path, back_first: bool
) -> None:
    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.keeper.start()
        await process.commit(Claim(b"k", A))
        store.down = True
        late = Entry("customer_service", "main", "text", b"late")
        given_up = await process.commit(
            Claim(b"k", A), GiveUp(b"k", b"success", _entry(b"message"))
        )
        assert _states(given_up) == [FRESH, DONE]
        if back_first:
            store.down = False
            await process.back()
        (finished,) = await process.commit(Finish(b"k", A, b"reply", (late,)))
        assert isinstance(finished, Outcome)
        assert finished.reply == b"success"
        store.down = False
        await process.back()
        assert store.bodies() == [b"message", b"late"]
        # No consumer handles it again.
        (resumed,) = await store.commit([Claim(b"k", B, resume=True)])
        assert resumed.state is DONE
        await process.close()

    play(scenario)


class FullDisk(FileSpill):
    """A spill on a disk that is full."""

    async def append(self, _records: Sequence[bytes]) -> None:
        """Fail."""
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_neither_store_nor_disk_takes_fails_alone_and_is_fresh_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        store.down = True
        keeper = Spilling(store, FullDisk(tmp_path, "one"), keep=60)
        claim = Claim(b"k", A, (_entry(),), b"success")
        plain, stored = await keeper.commit([Claim(b"inline", A), claim])
        assert isinstance(plain, Outcome)
        assert isinstance(stored, StoreDown)
        assert "No space left" in str(stored)
        (again,) = await Spilling.commit(keeper, [replace(claim, entries=())])
        assert isinstance(again, Outcome)
        assert again.state is FRESH

    play(scenario)


def test_consumers_steps_fail_while_the_store_is_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        store.down = True
        process = Process(store, tmp_path)
        outcomes = await process.commit(
            Ack("background", "1"),
            # Both would be done here, and the entry be thrown away for nothing.
            Claim(b"k", A, reply=b"success", resume=True),
            Finish(b"k", A, b"success", (_entry(b"late"),), resumed=True),
        )
        assert [type(outcome) for outcome in outcomes] == [StoreDown] * 3
        await process.close()

    play(scenario)


def test_a_late_reply_is_the_stores_to_judge_where_its_claim_is(tmp_path: Path) -> None:
    """Another process may have given the message up there; this one's own claims do not know."""

    async def scenario() -> None:
        store = Faulty()
        process = Process(store, tmp_path)
        await process.commit(Claim(b"k", A))
        store.down = True
        late = Finish(b"k", A, b"reply", (_entry(b"late"),))
        # What renews it here makes no claim of it.
        (_, refused) = await process.commit(Renew(b"k", A), late)
        assert isinstance(refused, StoreDown)
        here = replace(late, key=b"here")
        assert _states(await process.commit(Claim(b"here", A), here)) == [FRESH, DONE]
        await process.close()

    play(scenario)


def test_what_a_killed_process_left_is_drained_by_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        store.down = True
        killed = Process(store, tmp_path, "killed")
        await killed.commit(Claim(b"k", A, (_entry(b"left"),), b"success"))
        alive = Process(store, tmp_path, "alive")
        await alive.keeper.start()
        store.down = False
        await asyncio.sleep(0.1)
        # Its file is locked as long as it lives.
        assert store.bodies() == []
        # What the end of a process does to its files.
        for file in killed.spill._files():
            file._file.close()
        while store.bodies() != [b"left"]:
            await asyncio.sleep(0.01)
        while list(tmp_path.glob("killed*")):
            await asyncio.sleep(0.01)
        await alive.close()

    play(scenario)


def test_a_restart_drains_what_was_left_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Faulty()
        store.down = True
        before = Process(store, tmp_path, "before")
        await before.commit(
            *(Claim(b"%d" % n, A, (_entry(b"%d" % n),), b"success") for n in range(5))
        )
        await before.close()
        store.down = False
        after = Process(store, tmp_path, "after")
        await after.keeper.start()
        while len(store.bodies()) < 5:
            await asyncio.sleep(0.01)
        assert store.bodies() == [b"%d" % n for n in range(5)]
        await after.close()

    play(scenario)


class TestFileSpill:
    """The spill's files."""

    @staticmethod
    async def _read(folder: Path, name: str = "reader") -> list[bytes]:
        spill = FileSpill(folder, name)
        await spill.adopt()
        found = []
        while records := await spill.read(3):
            found += records
            await spill.drop(len(records))
        await spill.close()
        return found

    def test_records_come_back_in_order(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            spill = FileSpill(tmp_path / "new" / "folder", "one", clock=lambda: 1000.0)
            await spill.append([b"a", b"", b"\x00" * 1000])
            await spill.append([b"d"])
            assert spill.oldest() == 1000.0
            assert await spill.read(2) == [b"a", b""]
            assert await spill.read(2) == [b"a", b""]
            await spill.drop(2)
            assert await spill.read(9) == [b"\x00" * 1000, b"d"]
            await spill.drop(2)
            assert (spill.oldest(), await spill.read(9)) == (None, [])
            await spill.append([b"again"])
            assert await spill.read(9) == [b"again"]
            await spill.close()

        play(scenario)

    @pytest.mark.parametrize("cut", range(1, 22))
    def test_a_torn_record_is_passed_over_and_those_before_it_are_not(
        self, tmp_path: Path, cut: int
    ) -> None:
        """As a power failure leaves it, in the middle of a write that was never acknowledged."""

        async def scenario() -> None:
            spill = FileSpill(tmp_path, "torn")
            await spill.append([b"whole", b"whole too"])
            await spill.append([b"torn"])
            await spill.close()
            path = tmp_path / "torn.spill"
            path.write_bytes(
                path.read_bytes()[:-cut] if cut < 21 else path.read_bytes()[:-3] + b"x"
            )
            assert await self._read(tmp_path) == [b"whole", b"whole too"]

        play(scenario)

    def test_only_its_user_can_read_it(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            spill = FileSpill(tmp_path / "spill", "one")
            await spill.append([b"private"])
            assert (tmp_path / "spill" / "one.spill").stat().st_mode & 0o777 == 0o600
            assert (tmp_path / "spill").stat().st_mode & 0o777 == 0o700
            await spill.close()

        play(scenario)

    def test_a_drained_file_of_a_dead_process_is_removed(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            spill = FileSpill(tmp_path, "dead")
            await spill.append([b"one"])
            await spill.close()
            assert await self._read(tmp_path) == [b"one"]
            assert list(tmp_path.iterdir()) == []
            (tmp_path / "foreign.spill").write_bytes(b"this is no spill")
            assert await self._read(tmp_path) == []

        play(scenario)
