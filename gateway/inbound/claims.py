"""Who handles a message, and what its deliveries are answered: the states of a claim.

A message is Fresh to the first delivery that claims it; InFlight to the others until its reply is
known; then Done, and every later delivery gets the same bytes. A claim is leased: the process that
holds it renews it while the handler runs, and where it does not, the next delivery takes it over.

The rules stand here, as a pure function over one message's record; a store keeps the records. The
Redis store has the same rules once more, in its script; one suite of tests runs over both.
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

LEASE_SECONDS: Final = 3.0
"""How long a claim holds unrenewed. Less than the 5 seconds after which WeChat tries again, so that
a dead process's message is free by then (PROTOCOL 3)."""


class Entry(NamedTuple):
    """Something to be done later, stored durably in a lane."""

    lane: str
    """Which consumers it is for."""
    account: str
    kind: str
    """What it is, for whoever looks for it: a message's class, an event's type."""
    body: bytes
    delay: float = 0.0
    """Seconds before it may be taken."""


# Steps and outcomes are structs, for each callback makes several: a tenth of a named tuple's time.


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Ask for the message; store ``entries`` with it unless an earlier claim did.

    With a ``reply`` it is Done at once: nothing but the entries is to be handled. ``again`` is set
    by a delivery that asked before, and is not counted twice. ``resume`` is a consumer's: it takes
    a message over whose deliveries were answered already (GiveUp), with ``reply``.
    """

    key: bytes
    owner: bytes
    entries: tuple[Entry, ...] = ()
    reply: bytes = b""
    again: bool = False
    resume: bool = False


class Finish(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Give the reply of a message that was claimed; after a GiveUp store ``late`` instead.

    ``resumed`` is a consumer's: the store that gave it the claim must take this step too.
    """

    key: bytes
    owner: bytes
    reply: bytes
    late: tuple[Entry, ...] = ()
    resumed: bool = False


class GiveUp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Answer all deliveries with ``reply`` unless the real one is there; handle it later.

    ``entry`` is the message itself, stored so that it is handled even if its owner dies.
    """

    key: bytes
    reply: bytes
    entry: Entry


class Release(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Free a claim: its handler failed, and the next delivery may try again."""

    key: bytes
    owner: bytes


class Renew(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Hold a claim for another lease; make it again where nobody has it, for the store was away."""

    key: bytes
    owner: bytes


class Put(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Store the entries, and the reply, of a message that was answered without this store."""

    key: bytes
    entries: tuple[Entry, ...]
    reply: bytes = b""
    given_up: bool = False


class Ack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Remove an entry that was done, and store what came of it, unless it is gone already.

    Two consumers may have had it, one after its lease ran out; the first that is done counts.
    """

    lane: str
    id: str
    entries: tuple[Entry, ...] = ()


class Retry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Put an entry back, to be taken again after ``delay`` seconds; it had ``deliveries``."""

    lane: str
    id: str
    delay: float
    deliveries: int


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Keep an entry for another lease, if ``consumer`` still has it."""

    lane: str
    id: str
    consumer: bytes


ClaimStep = Claim | Finish | GiveUp | Release | Renew | Put
EntryStep = Ack | Retry | Hold
Step = ClaimStep | EntryStep


class State(IntEnum):
    """How a message stands, to whoever took a step."""

    FRESH = 0
    """It is the caller's to handle."""
    IN_FLIGHT = 1
    """It is being handled."""
    DONE = 2
    """Its reply is known."""
    LOST = 3
    """The caller held it, and holds it no more."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a step found."""

    state: State
    attempt: int = 0
    """How many deliveries the message had so far."""
    age: float = 0.0
    """Seconds since the first one."""
    reply: bytes = b""
    """What its deliveries are answered, where it is DONE."""


class Record(msgspec.Struct, gc=False):
    """What is kept of one message. Times are in seconds, of one clock; no owner is ``b""``."""

    first: float
    attempts: int = 0
    owner: bytes = b""
    lease: float = 0.0
    """Until when the owner holds it; of a message that nobody holds, when it was answered."""
    reply: bytes = b""
    """The answer to all deliveries; empty while there is none."""
    stored: bool = False
    """Whether its entries were stored."""
    given_up: bool = False
    """Whether it was answered before it was handled."""


_DONE: Final = State.DONE
_FRESH: Final = State.FRESH
_FIRST: Final = Outcome(_FRESH, 1)
"""What most claims find."""
_KEPT: Final = Outcome(_DONE)
_LOST: Final = Outcome(State.LOST)

_Advanced = tuple[Outcome, tuple[Entry, ...]]


def advance(record: Record, step: ClaimStep, now: float) -> _Advanced:
    """Take a step: change the record, return what the caller learns and what is to be stored.

    A message never seen before has a ``Record(first=now)``.
    """
    return _RULES[type(step)](record, step, now)


def _claim(record: Record, step: Claim, now: float) -> _Advanced:
    held = record.owner and record.lease > now
    age = now - record.first
    if step.resume:
        if held or (record.reply and not record.given_up):
            return Outcome(State.IN_FLIGHT if held else State.DONE, record.attempts, age), ()
        # Where nothing is known of it, it waited for longer than it was remembered.
        record.reply, record.given_up = record.reply or step.reply, True
        record.owner, record.lease = step.owner, now + LEASE_SECONDS
        return Outcome(State.FRESH, record.attempts, age), ()
    record.attempts += not step.again
    if record.reply:
        return Outcome(State.DONE, record.attempts, age, record.reply), ()
    if held and record.owner != step.owner:
        return Outcome(State.IN_FLIGHT, record.attempts, age), ()
    if step.reply:
        record.reply, record.lease = step.reply, now
    else:
        record.owner, record.lease = step.owner, now + LEASE_SECONDS
    entries = _once(record, step.entries) if step.entries else ()
    if record.attempts == 1 and not age:
        return _FIRST, entries
    return Outcome(_FRESH, record.attempts, age), entries


def _finish(record: Record, step: Finish, now: float) -> _Advanced:
    if record.reply and not record.given_up:
        return Outcome(State.DONE, reply=record.reply), ()
    if record.owner not in (b"", step.owner):
        # Its lease ran out, and another delivery or a consumer has it. Where nobody has, its claim
        # was made while this store was down, or was lost with it: then the reply is welcome.
        return (Outcome(State.DONE, reply=record.reply) if record.reply else _LOST), ()
    record.owner, record.lease = b"", now
    if record.given_up:
        record.given_up = False
        return Outcome(State.DONE, reply=record.reply), step.late
    record.reply = step.reply
    return Outcome(_DONE, 0, 0.0, step.reply), ()


def _give_up(record: Record, step: GiveUp, _now: float) -> _Advanced:
    if record.reply:
        return Outcome(State.DONE, reply=record.reply), ()
    record.reply, record.given_up = step.reply, True
    return Outcome(State.DONE, reply=step.reply), (step.entry,)


def _put(record: Record, step: Put, _now: float) -> _Advanced:
    if step.given_up:
        # Nobody saw another reply that may be known here: else WeChat had not come again.
        if record.reply != step.reply:
            record.reply, record.given_up = step.reply, True
    elif step.reply and record.reply in (b"", step.reply):
        # It was handled, whoever holds it here.
        record.reply, record.owner, record.given_up = step.reply, b"", False
    return Outcome(State.DONE, reply=record.reply), _once(record, step.entries)


def _release(record: Record, step: Release, _now: float) -> _Advanced:
    if record.owner != step.owner:
        return _LOST, ()
    record.owner = b""
    return _KEPT, ()


def _renew(record: Record, step: Renew, now: float) -> _Advanced:
    is_open = record.given_up or not record.reply
    if record.owner != step.owner and (record.owner or not is_open):
        return _LOST, ()
    record.owner, record.lease = step.owner, now + LEASE_SECONDS
    return Outcome(State.IN_FLIGHT), ()


def _once(record: Record, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if record.stored:
        return ()
    record.stored = bool(entries)
    return entries


_RULES: Final[dict[type[ClaimStep], Callable[[Record, Any, float], _Advanced]]] = {
    Claim: _claim,
    Finish: _finish,
    GiveUp: _give_up,
    Release: _release,
    Renew: _renew,
    Put: _put,
}


MAX_RECORDS: Final = 100_000
"""Messages that Claims remembers; the oldest goes first."""


class Claims:
    """The records of one process."""

    def __init__(self, keep: float, *, tells: bool = False) -> None:
        """Remember messages for ``keep`` seconds after their first delivery.

        ``tells`` tells whether news are asked for.
        """
        self._keep = keep
        self._tells = tells
        self._records: dict[bytes, Record] = {}
        # All of them and some that were forgotten, in the order in which they go. Two queues, for
        # tuples would be what the garbage collector has to look through.
        self._keys: deque[bytes] = deque()
        self._made: deque[Record] = deque()
        self._untold: dict[bytes, Record] = {}

    def advance(self, step: ClaimStep, now: float) -> _Advanced:
        """Take a step on the record of its message."""
        key = step.key
        record = self._records.get(key)
        if record is None or record.first + self._keep < now:
            record = self._records[key] = Record(now)
            self._keys.append(key)
            self._made.append(record)
            if len(self._keys) > MAX_RECORDS:
                self._drop_oldest()
        advanced = _RULES[type(step)](record, step, now)
        if self._tells and record.reply:
            self._untold[key] = record
        return advanced

    def _drop_oldest(self) -> None:
        key, record = self._keys.popleft(), self._made.popleft()
        # Unless it was forgotten, and perhaps made anew, since.
        if self._records.get(key) is record:
            del self._records[key]
            self._untold.pop(key, None)

    def recall(self, key: bytes, now: float) -> Record | None:
        """Return what is kept of a message; None where nothing is."""
        record = self._records.get(key)
        return None if record is None or record.first + self._keep < now else record

    def has_claim(self, key: bytes) -> bool:
        """Tell whether a claim of the message was made here, not in a store that is away."""
        record = self._records.get(key)
        return record is not None and record.attempts > 0

    def forget(self, key: bytes) -> None:
        """Forget a message: its next delivery is fresh."""
        self._records.pop(key, None)
        self._untold.pop(key, None)

    def news(self) -> list[Put]:
        """Return what tells another store of the replies that became known since the last call."""
        told, self._untold = self._untold, {}
        return [Put(key, (), record.reply, record.given_up) for key, record in told.items()]
