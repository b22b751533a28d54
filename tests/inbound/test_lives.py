"""One message's life, from what the stores hold of it, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.adapters.sqlite import SqliteStore
from gateway.adapters.sqlite_job_records import SqliteRecords
from gateway.adapters.sqlite_queue import SqliteQueue
from gateway.adapters.sqlite_records import SqliteArchive, SqliteDeadLetters
from gateway.inbound.claims import Claim, Entry, Finish, GiveUp, Release
from gateway.inbound.lives import Event, Kept, events_of, look_up
from gateway.inbound.ports import Callback, DeadLetter
from gateway.inbound.stored import store_message, store_reply
from gateway.outbound.jobs import State
from gateway.protocol.decode import decode
from gateway.protocol.dedupe import dedupe_key
from gateway.protocol.replies import TextReply
from gateway.telemetry.masking import open_id_hash
from tests.contracts.jobs import ALL, claim, job, receipt, settled
from tests.inbound.driving import make_context
from tests.support import APP_ID, OPEN_ID, text_document

SAID: Final = "我的密码是 hunter2"
MESSAGE: Final = decode(text_document(SAID))
KEY: Final = dedupe_key(APP_ID, MESSAGE)
ID: Final = KEY.hex()
OTHER: Final = b"another message!"
WAITING: Final = Entry("background", "main", "Text", b"body")


class World:
    """Stores of which each holds something of the message, where a test says so."""

    def __init__(self, file: Path) -> None:
        self.store = SqliteStore(file, keep=60, timeout=5)
        self.queue = SqliteQueue(file, timeout=5)
        self.kept = Kept(
            self.store,
            SqliteDeadLetters(file, timeout=5),
            SqliteArchive(file, timeout=5),
            SqliteRecords(file, timeout=5),
        )

    def play(self, scenario: Callable[[], Awaitable[Any]]) -> Any:
        """Run a scenario, and close the stores."""

        async def run() -> Any:
            try:
                return await scenario()
            finally:
                for one in (self.queue, *self.kept):
                    if one is not None:
                        await one.close()

        return asyncio.run(run())

    async def events(self, id_: str = ID) -> list[Event]:
        """Return what is told of an id."""
        return events_of(await look_up(id_, self.kept))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """What a test has."""
    return World(tmp_path / "g.db")


def every(events: list[Event]) -> Iterator[Event]:
    """Yield the events and all that followed from them."""
    for one in events:
        yield one
        yield from every([*one.then])


def names(events: list[Event]) -> list[str]:
    """Return what the events are, those that followed behind each."""
    return [one.what for one in every(events)]


@pytest.mark.parametrize(
    ("steps", "names_"),
    [
        ([], []),
        ([Claim(KEY, b"a")], ["verified and claimed", "is being handled"]),
        (
            [Claim(KEY, b"a"), Release(KEY, b"a")],
            ["verified and claimed", "was not answered: its handler failed"],
        ),
        ([Claim(KEY, b"a"), Finish(KEY, b"a", b"<xml/>")], ["verified and claimed", "replied"]),
        (
            [Claim(KEY, b"a"), GiveUp(KEY, b"success", WAITING._replace(body=KEY))],
            [
                *("verified and claimed", "answered before it was handled"),
                "waits in lane background",
            ],
        ),
    ],
    ids=["unknown", "handled", "failed", "replied", "given up"],
)
def test_the_claim_tells_how_far_it_came(world: World, steps: list[Any], names_: list[str]) -> None:
    async def scenario() -> None:
        await world.store.commit([Claim(OTHER, b"a"), *steps])
        told = await world.events()
        assert names(told) == (["received", *names_] if steps else [])
        assert (await look_up(ID, world.kept)).is_known == bool(steps)
        for one in every(told):
            assert one.at is None or (told[0].at is not None and one.at >= told[0].at)

    world.play(scenario)


def test_what_waits_and_what_was_given_up_is_found_in_whatever_form_it_holds_the_message(
    world: World,
) -> None:
    async def scenario() -> None:
        context = make_context(trace_id=ID)
        entries = (
            store_message(KEY, MESSAGE, context),
            *store_reply(context, MESSAGE, TextReply(SAID)),
        )
        other = store_message(OTHER, MESSAGE, make_context())
        await world.store.commit([Claim(KEY, b"a", entries, b"success")])
        await world.store.commit([Claim(OTHER, b"a", (other,), b"success")])
        await world.store.take("background", b"a", 1)
        letters = [
            DeadLetter(f"{entry.lane}/{n}", entry, 8, "failed: ValueError", 1.0, 2.0 + n)
            for n, entry in enumerate((*entries, other))
        ]
        await world.kept.dead_letters.bury(letters)
        told = names(await world.events())
        assert told[3:] == [
            "is in hand in lane background",
            "waits in lane customer_service",
            *("stored in lane background", "given up"),
            *("stored in lane customer_service", "given up"),
        ]

    world.play(scenario)


def test_what_was_pushed_for_it_is_told_with_each_attempt_and_the_receipt(world: World) -> None:
    async def scenario() -> None:
        await world.store.commit([Claim(KEY, b"a"), Finish(KEY, b"a", b"success")])
        mine = job(trace=f"{ID}-{'cd' * 8}", open_id=OPEN_ID)
        await world.queue.add([mine, job(), job(trace="ab" * 16)])
        await world.queue.beat("w", 60)
        held = {one.id: one for one in await claim(world.queue, "w", ALL)}[mine.id]
        await world.queue.settle("w", [settled(held, State.QUEUED)])
        assert names(await world.events())[2:] == ["replied", "queued", "attempt 1"]
        (held,) = await claim(world.queue, "w", ALL)
        await world.queue.settle("w", [settled(held, State.SENT, message_id="7")])
        assert names(await world.events())[5:] == ["attempt 2", "no receipt yet"]
        await world.queue.receive([receipt("7", open_id=OPEN_ID)])
        (came,) = await world.events()
        assert names([came])[5:] == ["attempt 2", "receipt"]
        queued = came.then[-1]
        assert queued.detail.endswith(f"order-shipped to {open_id_hash(OPEN_ID)}: delivered")
        # By the job's own id the same is found.
        assert await world.events(mine.id) == [came]

    world.play(scenario)


def test_a_job_that_no_message_led_to_is_told_alone(world: World) -> None:
    async def scenario() -> None:
        alone = job()
        await world.queue.add([alone, job(trace=ID)])
        told = await world.events(alone.id)
        assert names(told) == ["queued"]
        assert alone.id in told[0].detail
        assert await world.events("no-such-job") == []

    world.play(scenario)


def test_the_archive_tells_of_whom_it_was_once_its_claim_is_forgotten(world: World) -> None:
    async def scenario() -> None:
        archive = world.kept.archive
        assert archive is not None
        await archive.add([Callback(ID, "main", "Text", OPEN_ID, 1_790_000_000.5, b"{}")])
        assert await world.events() == [
            Event("received", 1_790_000_000.5, f"main Text {open_id_hash(OPEN_ID)}")
        ]

    world.play(scenario)


def test_no_open_id_and_no_word_of_the_message_is_told(world: World) -> None:
    async def scenario() -> None:
        context = make_context(trace_id=ID)
        entries = (
            store_message(KEY, MESSAGE, context),
            *store_reply(context, MESSAGE, TextReply(SAID)),
        )
        await world.store.commit([Claim(KEY, b"a", entries, b"success")])
        await world.queue.add([job(trace=ID, open_id=OPEN_ID)])
        told = str(await world.events())
        assert OPEN_ID not in told
        assert "hunter2" not in told

    world.play(scenario)
