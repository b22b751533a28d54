"""The lanes of what callbacks tell of people: learned, looked up, forgotten, and what waits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.errors import AccountRejected, GatewayError, NotSent, StoreDown
from gateway.identity.erasing import BeingSent
from gateway.identity.people import Person
from gateway.inbound.batches import BatchConsumer
from gateway.inbound.claims import Claim, Entry
from gateway.inbound.commit import GroupCommit
from gateway.inbound.consumer import Policy, Shared
from gateway.inbound.people import (
    FOLLOWER,
    GONE,
    PEOPLE,
    Forgetting,
    Learning,
    LookingUp,
    people_entry,
)
from gateway.protocol.decode import decode
from gateway.protocol.messages import Message
from gateway.telemetry.metrics import Metrics
from tests.inbound.driving import make_context
from tests.support import text_document


@dataclass
class Learner:
    """Notes what it is asked, and fails as it is told to."""

    asked: list[Any] = field(default_factory=list)
    fails: GatewayError | None = None
    looks_up: bool = True

    def note(self, account: str, message: Message) -> None:
        """Note nothing."""

    def asks(self, account: str) -> bool:  # noqa: ARG002  # as it is asked
        """Tell whether it looks up."""
        return self.looks_up

    async def learn(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Learn."""
        self._do(*(type(message).__name__ for _, message in messages))

    async def forget(self, account: str, open_id: str) -> None:
        """Forget."""
        self._do((account, open_id))

    async def look_up(self, account: str, open_ids: Sequence[str]) -> None:
        """Look up."""
        self._do((account, *open_ids))

    async def sender(self, account: str, message: Message) -> Person | None:
        """Know nobody."""
        raise NotImplementedError

    def _do(self, *what: Any) -> None:
        if self.fails is not None:
            raise self.fails
        self.asked += what


@dataclass
class Lane:
    """A lane and its consumer, run until it is empty or waits."""

    name: str
    store: MemoryStore
    consumer: BatchConsumer

    async def run(self) -> None:
        """Let the consumer look once."""
        task = asyncio.create_task(self.consumer.run())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    async def stands(self, name: str | None = None) -> tuple[int, int]:
        """Return how many wait, and how many wait for their time."""
        for lane in await self.store.lanes():
            if lane.lane == (name or self.name):
                return lane.waiting, lane.delayed
        return 0, 0


def play(
    name: str,
    learner: Learner,
    entries: Sequence[Entry],
    scenario: Callable[[Lane], Awaitable[None]],
) -> None:
    """Run a scenario with entries in a lane."""

    async def run() -> None:
        store = MemoryStore(600)
        commit = GroupCommit(store.commit)
        shared = Shared(
            store,
            commit,
            MemoryDeadLetters(),
            b"process1",
            Policy(8, 1.0, 300.0),
            lambda: 0.5,
            lambda: 0.0,
            Metrics(),
        )
        handle = {
            PEOPLE: Learning(learner).learn,
            FOLLOWER: LookingUp(learner).look_up,
            GONE: Forgetting(learner).forget,
        }[name]
        await store.commit([Claim(b"key", b"process1", tuple(entries), b"success")])
        await scenario(Lane(name, store, BatchConsumer(name, handle, shared)))

    asyncio.run(run())


def event(name: str, **given: str) -> Message:
    """Return an event of a user's."""
    common = {"ToUserName": "gh_1", "FromUserName": "oUser", "CreateTime": "1790000000"}
    return decode({**common, "MsgType": "event", "Event": name, **given})


def entry_of(message: Message) -> Entry:
    """Return the entry of what a message tells."""
    entry = people_entry(message, make_context())
    assert entry is not None
    return entry


CANCELLED = event("user_authorization_cancellation", FromUserName="gh_system", OpenID="oGone")


def test_what_tells_nothing_makes_no_entry() -> None:
    assert people_entry(decode(text_document()), make_context()) is None
    assert people_entry(event("CLICK", EventKey="V1"), make_context()) is None


def test_a_follower_is_learned_and_then_to_be_looked_up() -> None:
    learner = Learner()

    async def scenario(lane: Lane) -> None:
        await lane.run()
        assert learner.asked == ["Subscribe", "Unsubscribe"]
        assert await lane.stands() == (0, 0)
        assert await lane.stands(FOLLOWER) == (1, 0)

    play(PEOPLE, learner, [entry_of(event(n)) for n in ("subscribe", "unsubscribe")], scenario)


def test_nobody_is_looked_up_where_nobody_can_be_asked() -> None:
    async def scenario(lane: Lane) -> None:
        await lane.run()
        assert await lane.stands(FOLLOWER) == (0, 0)

    play(PEOPLE, Learner(looks_up=False), [entry_of(event("subscribe"))], scenario)


def test_who_closed_their_account_is_to_be_forgotten() -> None:
    async def scenario(lane: Lane) -> None:
        await lane.run()
        assert await lane.stands(GONE) == (1, 0)

    play(PEOPLE, Learner(), [entry_of(CANCELLED)], scenario)


@pytest.mark.parametrize(
    ("lane", "entry", "fails"),
    [
        (PEOPLE, entry_of(event("subscribe")), StoreDown("down; up")),
        (FOLLOWER, Entry(FOLLOWER, "main", "open_id", b"oUser"), NotSent("/x: no connection")),
        (FOLLOWER, Entry(FOLLOWER, "main", "open_id", b"oUser"), StoreDown("down; up")),
        (GONE, Entry(GONE, "main", "open_id", b"oUser"), BeingSent(1)),
        (GONE, Entry(GONE, "main", "open_id", b"oUser"), StoreDown("down; up")),
    ],
)
def test_what_cannot_be_done_now_is_done_later(
    lane: str, entry: Entry, fails: GatewayError
) -> None:
    learner = Learner(fails=fails)

    async def scenario(one: Lane) -> None:
        await one.run()
        assert sum(await one.stands()) == 1
        assert learner.asked == []

    play(lane, learner, [entry], scenario)


def test_followers_of_one_account_are_asked_about_together() -> None:
    learner = Learner()
    entries = [
        Entry(FOLLOWER, account, "open_id", open_id)
        for account, open_id in (("main", b"o1"), ("other", b"o2"), ("main", b"o3"))
    ]

    async def scenario(lane: Lane) -> None:
        await lane.run()
        assert learner.asked == [("main", "o1", "o3"), ("other", "o2")]
        assert await lane.stands() == (0, 0)

    play(FOLLOWER, learner, entries, scenario)


def test_an_account_that_may_not_ask_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    refusal = AccountRejected("/cgi-bin/user/info/batchget", 48001, "api unauthorized", "no", "")

    async def scenario(lane: Lane) -> None:
        await lane.run()
        assert await lane.stands() == (0, 0)
        assert "union ids are not learned account=main" in caplog.text
        assert "oUser" not in caplog.text

    entry = Entry(FOLLOWER, "main", "open_id", b"oUser")
    play(FOLLOWER, Learner(fails=refusal), [entry], scenario)
