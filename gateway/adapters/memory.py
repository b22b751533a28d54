"""Claims and lanes within one process: nothing of it outlives the process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from gateway.inbound.claims import (
    Ack,
    Claims,
    Entry,
    EntryStep,
    Hold,
    Outcome,
    Record,
    Retry,
    State,
    Step,
)
from gateway.inbound.erasing import written
from gateway.inbound.ports import (
    ENTRY_LEASE_SECONDS,
    DeadLetter,
    LaneStatus,
    Taken,
    Waiting,
    Wanted,
)


@dataclass(slots=True)
class _Kept:
    entry: Entry
    stored_at: float
    due: float
    consumer: bytes = b""
    deliveries: int = 0

    def is_held(self, now: float) -> bool:
        """Tell whether a consumer has it."""
        return self.consumer != b"" and self.due > now


class MemoryStore:
    """The Store of one process, forgotten with it."""

    def __init__(self, keep: float, clock: Callable[[], float] = time.time) -> None:
        """Remember messages for ``keep`` seconds after their first delivery."""
        self._clock = clock
        self._claims = Claims(keep)
        self._entries: dict[str, _Kept] = {}
        self._ids = count(1)

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps in order."""
        return [self.take_step(step) for step in steps]

    def take_step(self, step: Step) -> Outcome:
        """Take one step, now."""
        now = self._clock()
        if isinstance(step, (Ack, Retry, Hold)):
            return self._entry_step(step, now)
        outcome, entries = self._claims.advance(step, now)
        if entries:
            self._store(entries, now)
        return outcome

    def _entry_step(self, step: EntryStep, now: float) -> Outcome:
        kept = self._entries.get(step.id)
        if kept is None or (isinstance(step, Hold) and kept.consumer != step.consumer):
            return Outcome(State.LOST)
        if isinstance(step, Ack):
            del self._entries[step.id]
            self._store(step.entries, now)
            return Outcome(State.DONE)
        if isinstance(step, Retry):
            kept.due, kept.consumer = now + step.delay, b""
            kept.deliveries = step.deliveries
            return Outcome(State.DONE)
        kept.due = now + ENTRY_LEASE_SECONDS
        return Outcome(State.IN_FLIGHT)

    def _store(self, entries: tuple[Entry, ...], now: float) -> None:
        for entry in entries:
            self._entries[str(next(self._ids))] = _Kept(
                entry._replace(delay=0.0), now, now + entry.delay
            )

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take what is due."""
        now = self._clock()
        due = sorted(
            (kept.due, int(id_), id_)
            for id_, kept in self._entries.items()
            if kept.entry.lane == lane and kept.due <= now
        )
        taken = []
        for _, _, id_ in due[:limit]:
            kept = self._entries[id_]
            kept.due, kept.consumer = now + ENTRY_LEASE_SECONDS, consumer
            kept.deliveries += 1
            taken.append(Taken(id_, kept.entry, kept.deliveries, kept.stored_at))
        return taken

    async def lanes(self) -> list[LaneStatus]:
        """Return the lanes that hold something."""
        now = self._clock()
        return [
            _status(lane, [k for k in self._entries.values() if k.entry.lane == lane], now)
            for lane in sorted({kept.entry.lane for kept in self._entries.values()})
        ]

    async def recall(self, key: bytes) -> Record | None:
        """Return what is kept of a message."""
        return self._claims.recall(key, self._clock())

    async def mentioning(self, lane: str, what: Sequence[bytes], most: int) -> list[Waiting]:
        """Return the entries that have any of it in their body."""
        of_lane = [(id_, kept) for id_, kept in self._entries.items() if kept.entry.lane == lane]
        return [
            _waiting(id_, kept, self._clock())
            for id_, kept in of_lane[:most]
            if any(one in kept.entry.body for one in what)
        ]

    async def ping(self) -> None:
        """Do nothing: memory is there."""

    async def close(self) -> None:
        """Do nothing."""


def _waiting(id_: str, kept: _Kept, now: float) -> Waiting:
    is_held = kept.is_held(now)
    due = kept.due if kept.due > now and not is_held else None
    return Waiting(id_, kept.entry, kept.deliveries, kept.stored_at, is_held, due)


def _status(lane: str, kept: list[_Kept], now: float) -> LaneStatus:
    held = sum(k.is_held(now) for k in kept)
    waiting = sum(k.due <= now for k in kept)
    oldest = max(now - k.stored_at for k in kept)
    return LaneStatus(lane, waiting, len(kept) - waiting - held, held, oldest)


class MemoryDeadLetters:
    """The DeadLetters of one process, forgotten with it."""

    def __init__(self) -> None:
        self._letters: dict[str, DeadLetter] = {}

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them."""
        for letter in letters:
            self._letters.setdefault(letter.id, letter)

    async def find(self, wanted: Wanted, limit: int) -> list[DeadLetter]:
        """Return those that are meant."""
        found = [letter for letter in self._letters.values() if _is_wanted(letter, wanted)]
        return sorted(found, key=lambda letter: (letter.buried_at, letter.id))[:limit]

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""
        return sum(_is_wanted(letter, wanted) for letter in self._letters.values())

    async def remove(self, ids: Sequence[str]) -> int:
        """Remove these."""
        return sum(self._letters.pop(id_, None) is not None for id_ in ids)

    async def erase(self, account: str, open_id: str) -> int:
        """Remove the letters that have a user's open id in them."""
        forms = written(open_id)
        found = [
            letter.id
            for letter in self._letters.values()
            if letter.entry.account == account and any(form in letter.entry.body for form in forms)
        ]
        return await self.remove(found)

    async def close(self) -> None:
        """Do nothing."""


def _is_wanted(letter: DeadLetter, wanted: Wanted) -> bool:
    entry = letter.entry
    return (
        (wanted.ids is None or letter.id in wanted.ids)
        and wanted.lane in (None, entry.lane)
        and wanted.account in (None, entry.account)
        and wanted.kind in (None, entry.kind)
        and letter.reason.startswith(wanted.reason or "")
        and (wanted.before is None or letter.buried_at < wanted.before)
        and (wanted.since is None or letter.buried_at >= wanted.since)
        and (wanted.mentions is None or wanted.mentions in entry.body)
    )
