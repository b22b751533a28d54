"""What each user really received: the judge of what was sent once, twice or never."""

from collections import Counter
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A message that reached a user."""

    open_id: str
    channel: str
    """The endpoint's path."""
    message_id: int
    client_msg_id: str
    """What the sender told it apart by; empty where it did not."""
    at: float
    """Unix seconds."""
    body: dict[str, Any]
    """The request's own."""


class Ledger:
    """All messages that reached anyone, in order."""

    def __init__(self) -> None:
        self.received: list[Received] = []

    def add(self, received: Received) -> None:
        """Note that a user received something."""
        self.received.append(received)

    def of(self, open_id: str) -> list[Received]:
        """Return what a user received."""
        return [one for one in self.received if one.open_id == open_id]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each user received what a sender told apart by its own id."""
        return Counter((one.open_id, one.client_msg_id) for one in self.received)
