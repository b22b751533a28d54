"""What the receiving side asks of a store: small Protocols, one suite of tests over every adapter.

All of them take batches, so that concurrent callbacks share a round trip; a batch is done whole or
not at all. Every method raises StoreDown where the store cannot be reached or does not answer.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from gateway.inbound.claims import Entry, Outcome, Record, Step

ENTRY_LEASE_SECONDS: Final = 30.0
"""How long a consumer holds an entry unrenewed; renewed by it while it works (Hold)."""


class Taken(NamedTuple):
    """An entry that a consumer took, for as long as a lease."""

    id: str
    entry: Entry
    deliveries: int
    """How often it was taken, this time included."""
    stored_at: float
    """When it was stored, in Unix seconds."""


class Waiting(NamedTuple):
    """An entry that is in its lane."""

    id: str
    entry: Entry
    deliveries: int
    """How often it was taken."""
    stored_at: float
    """Unix seconds."""
    is_held: bool
    """Whether a consumer has it."""
    due: float | None = None
    """When it may be taken, in Unix seconds, where that time has not come."""


class LaneStatus(NamedTuple):
    """How a lane stands."""

    lane: str
    waiting: int
    """Entries that may be taken now."""
    delayed: int
    """Entries whose time has not come."""
    held: int
    """Entries that consumers hold."""
    oldest: float
    """Seconds since the oldest entry of all these was stored; 0 where there is none."""


class Store(Protocol):
    """Claims, and entries in lanes: what every callback passes through."""

    async def commit(self, steps: Sequence[Step]) -> list[Outcome]:
        """Take the steps in order, in one transaction; return what each found."""

    async def take(self, lane: str, consumer: bytes, limit: int) -> list[Taken]:
        """Take up to ``limit`` entries that are due, oldest first, those of dead consumers too."""

    async def lanes(self) -> list[LaneStatus]:
        """Return every lane that holds something, by name."""

    async def recall(self, key: bytes) -> Record | None:
        """Return what is kept of the message with this dedupe key; times are Unix seconds."""

    async def mentioning(self, lane: str, what: Sequence[bytes], most: int) -> list[Waiting]:
        """Return the lane's entries with any of ``what`` in their body, of its ``most`` oldest."""

    async def ping(self) -> None:
        """Return if the store can take a write."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class DeadLetter(NamedTuple):
    """An entry that nobody could handle, and why."""

    id: str
    """The lane and the entry's id there: the same for the same entry."""
    entry: Entry
    deliveries: int
    reason: str
    """A code, and what a person wants to know; never what a user wrote."""
    stored_at: float
    """When the entry was stored, in Unix seconds."""
    buried_at: float
    """When it was given up, in Unix seconds."""


class Wanted(NamedTuple):
    """Which dead letters are meant; what is None does not matter."""

    ids: tuple[str, ...] | None = None
    lane: str | None = None
    account: str | None = None
    kind: str | None = None
    reason: str | None = None
    """How the reason begins."""
    before: float | None = None
    """Buried before this time, in Unix seconds."""
    since: float | None = None
    mentions: bytes | None = None
    """What is in its body."""


class DeadLetters(Protocol):
    """The entries that nobody could handle, kept until a person decides."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them; one that is there already (by id) stays as it is."""

    async def find(self, wanted: Wanted, limit: int) -> list[DeadLetter]:
        """Return those that are meant, oldest burial first."""

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""

    async def remove(self, ids: Sequence[str]) -> int:
        """Remove these; return how many were there."""

    async def erase(self, account: str, open_id: str) -> int:
        """Remove an account's letters whose body has a user's open id in it; return how many."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class Callback(NamedTuple):
    """A callback as it came, for the archive."""

    id: str
    """The dedupe key, in hex."""
    account: str
    kind: str
    open_id: str
    received_at: float
    """Unix seconds."""
    document: bytes
    """The message's fields by WeChat's names, as JSON."""


class Archive(Protocol):
    """Every callback that came, where the settings ask for it."""

    async def add(self, callbacks: Sequence[Callback]) -> None:
        """Keep them; one that is there already (by id) stays as it is."""

    async def prune(self, before: float) -> int:
        """Remove those received before this time, Unix seconds; return how many."""

    async def find(self, id_: str) -> Callback | None:
        """Return the callback with this dedupe key, in hex."""

    async def of_user(self, account: str, open_id: str, limit: int) -> list[Callback]:
        """Return what an account's user sent, up to so many, those received last first."""

    async def erase(self, account: str, open_id: str) -> int:
        """Remove all that an account's user sent; return how many."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class Finding(NamedTuple):
    """One thing looked at: how it is, and, where that is a problem, what to do."""

    what: str
    state: str
    fix: str
