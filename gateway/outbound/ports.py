"""What the sending side asks of the outside: small Protocols, one suite of tests over each."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.outbound.jobs import (
    Added,
    Ask,
    Backlog,
    Closed,
    Held,
    Job,
    Outcome,
    Receipt,
    Record,
    Settled,
    State,
    Wanted,
)


class ApiRequest(NamedTuple):
    """A request to WeChat's API."""

    method: str
    path: str
    """Beginning with ``/cgi-bin/`` or ``/sns/``."""
    query: Mapping[str, str]
    """With the token, if it takes one: never to be logged."""
    body: bytes = b""
    content_type: str = "application/json"


class ApiResponse(NamedTuple):
    """What was answered."""

    status: int
    content_type: str
    body: bytes


class Transport(Protocol):
    """Brings requests to WeChat."""

    async def send(self, request: ApiRequest) -> ApiResponse:
        """Send a request, once; return the whole answer.

        Raises NotSent where nothing of it can have arrived, and Unanswered where it may have.
        """

    async def close(self) -> None:
        """Close the connections."""


class StoredToken(NamedTuple):
    """A token as all processes have it."""

    value: str
    fence: int
    """The number of the refresh that it came from; a later one is greater."""
    fetched_at: float
    """Unix seconds."""
    expires_at: float
    """Unix seconds."""

    def __repr__(self) -> str:
        return f"StoredToken(refresh {self.fence})"


class Claimed(NamedTuple):
    """What came of the wish to refresh a token: at most one of the two."""

    newer: StoredToken | None
    """What somebody else fetched meanwhile."""
    fence: int | None
    """The number of the refresh that is now this process's; None while it is another's."""


class TokenStore(Protocol):
    """The tokens of all accounts, shared by all processes; every method raises StoreDown."""

    async def read(self, name: str) -> StoredToken | None:
        """Return the token of this name as it is stored; it may have expired."""

    async def claim(self, name: str, fence: int, seconds: float) -> Claimed:
        """Ask to replace the token that came from refresh ``fence``; 0 for none.

        One process at a time gets it, for so many seconds at most.
        """

    async def put(self, name: str, token: StoredToken) -> bool:
        """Store a token, and let others refresh it; not where its refresh is no longer the last.

        Return whether it was stored.
        """

    async def give_up(self, name: str, fence: int, seconds: float) -> None:
        """Say that a refresh failed; nobody is to try again for so many seconds."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class JobQueue(Protocol):
    """The jobs that wait, shared by all processes; every method raises StoreDown.

    A worker is known by its name, and holds its jobs as long as it says so in time: those of one
    that does not are another's to take over.
    """

    async def add(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs durably, all or none; not those whose idempotency key there is already."""

    async def beat(self, worker: str, seconds: float) -> None:
        """Let a worker hold its jobs for so many seconds from now; it is known from now on."""

    async def claim(self, worker: str, asks: Sequence[Ask], limit: int) -> list[Held]:
        """Give a worker jobs that are due: of each ask up to its limit, of all up to ``limit``.

        In each lane those of a higher priority come first, and then those that are due longer.
        """

    async def orphans(self, worker: str, limit: int) -> list[Held]:
        """Give a worker jobs of workers that are gone; nobody knows whether they were sent."""

    async def settle(self, worker: str, settled: Sequence[Settled]) -> list[str]:
        """Say what became of a worker's jobs; return the ids of those that were still its own."""

    async def put_back(self, worker: str, known: Collection[str]) -> int:
        """Put back what a worker has without knowing of it, as it was; return how many.

        The answer to its claim was lost: it sent none of them.
        """

    async def leave(self, worker: str) -> None:
        """Forget a worker that holds no job any more."""

    async def receive(self, receipts: Sequence[Receipt]) -> list[Closed | None]:
        """Close the jobs that were sent by these receipts; return each one's, where it is known.

        A job that has its receipt stays as it is.
        """

    async def wait(self, seconds: float) -> None:
        """Return when there may be new jobs, or after so many seconds."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class JobRecords(Protocol):
    """All jobs that are kept, for whoever looks at them; every method raises StoreDown."""

    async def find(self, wanted: Wanted, limit: int, after: str | None = None) -> list[Record]:
        """Return jobs that are meant, newest first; only those older than the job ``after``."""

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""

    async def cancel(self, wanted: Wanted, limit: int, at: float) -> int:
        """Cancel some of those that wait, up to ``limit``; return how many.

        What a worker has is past that.
        """

    async def retry(self, wanted: Wanted, limit: int, at: float) -> int:
        """Queue some again that were not sent (UNSENT), as if they were new; return how many."""

    async def discard(self, wanted: Wanted, limit: int) -> int:
        """Remove some of the dead letters (DEAD_LETTERS) for good; return how many."""

    async def prune(self, before: float) -> int:
        """Remove those that were created before this time and have ended; return how many."""

    async def erase(self, account: str, open_id: str) -> int:
        """Remove what an account sent to a user, or was to send; return how many messages.

        What a worker has at this moment stays as it is: another call removes it, once it has ended
        or waits again. Mass messages stay, too: they are to nobody alone.
        """

    async def outcomes(self, wanted: Wanted) -> list[Outcome]:
        """Return how many of those that are meant are in each state, by day and template."""

    async def batch(self, batch: str) -> dict[State, int]:
        """Return how many jobs of a batch are in each state."""

    async def backlog(self) -> list[Backlog]:
        """Return how each account's channels stand that have something waiting."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class TemplateStore(Protocol):
    """The templates that were given over the API; every method raises StoreDown."""

    async def all(self) -> dict[str, bytes]:
        """Return each as it is written, JSON, by name."""

    async def put(self, name: str, written: bytes) -> None:
        """Keep one, in place of any other of this name."""

    async def remove(self, name: str) -> bool:
        """Forget one; return whether there was any."""

    async def close(self) -> None:
        """Let go of connections and threads."""
