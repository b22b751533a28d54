"""Every callback reaches the archive, whatever is down meanwhile, and leaves it when it is old."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import msgspec
import pytest

from gateway import Message
from gateway.adapters.sqlite_records import SqliteArchive
from gateway.errors import StoreDown
from gateway.inbound import archiving
from gateway.inbound.archiving import ARCHIVE, BATCH, Archiver, archive_entry
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Policy
from gateway.inbound.ports import ENTRY_LEASE_SECONDS, Archive, Callback, Wanted
from gateway.protocol.decode import decode
from tests.inbound.driving import make_context
from tests.inbound.lanes import Lanes, stop, until
from tests.inbound.whole import play
from tests.support import NOW, OPEN_ID, text_document

KEEP: Final = 86_400.0


def message(number: int = 0) -> Message:
    """Return a text message of its own."""
    return decode(text_document(f"{number}"))


def entry(number: int) -> Entry:
    """Return the archive's entry of such a message."""
    context = make_context()
    context.arrived_at = NOW + number
    return archive_entry(b"%d" % number, message(number), context)


class Shelf:
    """An archive that is down when it is told to be, and notes what it was given."""

    def __init__(self) -> None:
        self.down = False
        self.batches: list[list[str]] = []
        """The ids of each batch, made readable."""
        self.pruned: list[float] = []
        self.closed = False

    async def add(self, callbacks: Sequence[Callback]) -> None:
        """Keep them, or fail."""
        if self.down:
            raise StoreDown("no Postgres")
        self.batches.append([bytes.fromhex(callback.id).decode() for callback in callbacks])

    async def prune(self, before: float) -> int:
        """Note from when on."""
        self.pruned.append(before)
        return 0

    async def find(self, id_: str) -> Callback | None:
        """Give nothing: the archiver does not ask."""
        raise NotImplementedError

    async def of_user(self, account: str, open_id: str, limit: int) -> list[Callback]:
        """Give nothing: the archiver does not ask."""
        raise NotImplementedError

    async def erase(self, account: str, open_id: str) -> int:
        """Erase nothing: the archiver does not ask."""
        raise NotImplementedError

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class World(Lanes):
    """A lane with its archiver, at a time that passes when it is told to."""

    def __init__(self) -> None:
        super().__init__(Policy(1, 1.0, 1.0))

    def archiver(self, archive: Archive) -> Archiver:
        """Return what empties the lane into an archive."""
        return Archiver(archive, self.shared(), KEEP)

    def waiting(self) -> int:
        """Return how many are in lanes."""
        return len(self.store._entries)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look into the lane more often."""
    monkeypatch.setattr(archiving, "IDLE_SECONDS", 0.002)
    monkeypatch.setattr(archiving, "DOWN_SECONDS", 0.002)


def test_a_callback_is_kept_with_all_that_was_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        world = World()
        odd = decode(text_document("好 😀", New={"a": [1, "2"]}, Big=2**70))
        context = make_context()
        context.arrived_at = NOW + 0.25
        await world.store_entries(archive_entry(b"\x00\xff", odd, context))
        archive = SqliteArchive(tmp_path / "g.db", timeout=5)
        running = asyncio.create_task(world.archiver(archive).run())
        await until(lambda: not world.waiting())
        await stop(running)

    play(scenario)
    with closing(sqlite3.connect(tmp_path / "g.db")) as database:
        ((*row, document),) = database.execute("SELECT * FROM archive").fetchall()
    assert row == ["00ff", "main", "Text", OPEN_ID, NOW + 0.25]
    assert json.loads(document) == text_document("好 😀", New={"a": [1, "2"]}, Big=2**70)


def test_many_are_kept_in_batches_and_leave_the_lane() -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        await world.store_entries(*(entry(number) for number in range(BATCH + 44)))
        running = asyncio.create_task(world.archiver(shelf).run())
        await until(lambda: not world.waiting())
        await world.store_entries(entry(BATCH + 44))
        await until(lambda: not world.waiting())
        names = [f"{number}" for number in range(BATCH + 45)]
        assert shelf.batches == [names[:BATCH], names[BATCH:-1], names[-1:]]
        await stop(running)

    play(scenario)


def test_only_its_own_lane_is_emptied() -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        other = entry(1)._replace(lane="background")
        await world.store_entries(other, entry(2))
        await world.archiver(shelf)._step()
        assert shelf.batches == [["2"]]
        assert [kept.entry for kept in world.store._entries.values()] == [other]
        assert (archiving.Archiver.lane, entry(2).lane) == (ARCHIVE, ARCHIVE)

    play(scenario)


@pytest.mark.parametrize(
    "body", [b"", b"junk", b"{}", msgspec.msgpack.encode(["id"]), entry(2).body[:-1]], ids=repr
)
def test_what_holds_no_callback_is_buried_and_the_rest_of_its_batch_is_kept(body: bytes) -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        await world.store_entries(entry(1), entry(2)._replace(body=body), entry(3))
        await world.archiver(shelf)._step()
        assert shelf.batches == [["1", "3"]]
        assert world.waiting() == 0
        (letter,) = await world.dead.find(Wanted(), 9)
        assert (letter.entry.body, letter.reason) == (
            body,
            "unserialisable: it holds no callback",
        )

    play(scenario)


def test_while_the_archive_is_down_callbacks_wait_however_often_they_are_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        shelf.down = True
        await world.store_entries(entry(1), entry(2))
        running = asyncio.create_task(world.archiver(shelf).run())
        for _ in range(5):
            await until(lambda: 'the archive waits error="no Postgres"' in caplog.messages)
            caplog.clear()
            assert world.waiting() == 2
            # They are taken again when nobody has them any more.
            world.now += ENTRY_LEASE_SECONDS
        shelf.down = False
        await until(lambda: not world.waiting())
        assert shelf.batches == [["1", "2"]]
        assert await world.dead.count(Wanted()) == 0
        await stop(running)

    play(scenario)


def test_a_store_that_is_down_stops_nothing_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        world.store.down = True
        await world.store_entries(entry(1))
        running = asyncio.create_task(world.archiver(shelf).run())
        await until(lambda: caplog.messages.count('the archive waits error="no Redis"') == 3)
        assert shelf.batches == []
        world.store.down = False
        await until(lambda: not world.waiting())
        assert shelf.batches == [["1"]]
        await stop(running)

    play(scenario)


def test_what_is_too_old_is_looked_for_at_the_start_and_every_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: 1000.0 + passed[0])
    monkeypatch.setattr(archiving, "time", clock)

    async def scenario() -> None:
        world, shelf = World(), Shelf()
        archiver = world.archiver(shelf)
        for passed[0] in (0.0, 1.0, 3599.0, 3600.0, 3601.0, 7200.0):
            world.now = NOW + passed[0]
            await archiver._step()
        assert shelf.pruned == [NOW + at - KEEP for at in (0.0, 3600.0, 7200.0)]

    play(scenario)


@pytest.mark.parametrize("down", [False, True], ids=["idle", "down"])
def test_the_archive_is_closed_at_the_end(down: bool) -> None:
    async def scenario() -> None:
        world, shelf = World(), Shelf()
        world.store.down = down
        running = asyncio.create_task(world.archiver(shelf).run())
        await until(lambda: shelf.pruned or down)
        await asyncio.sleep(0.01)
        assert not shelf.closed
        await stop(running)
        assert shelf.closed

    play(scenario)
