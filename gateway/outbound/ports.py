"""What the sending side asks of the outside: small Protocols, one suite of tests over each."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


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
