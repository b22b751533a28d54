"""What each user really received: the judge of what was sent once, twice or never."""

from collections import Counter
from typing import Any

import msgspec

_ENCODE = msgspec.json.Encoder().encode


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message that reached a user."""

    open_id: str
    channel: str
    """The endpoint's path."""
    message_id: int
    client_msg_id: str
    """What the sender told it apart by; empty where it did not."""
    at: float
    """Unix seconds."""
    raw: bytes
    """The request's own body, as JSON: a million of them are nothing to the collector."""

    @property
    def body(self) -> dict[str, Any]:
        """The request's own."""
        body: dict[str, Any] = msgspec.json.decode(self.raw)
        return body

    def shown(self) -> dict[str, Any]:
        """Return it for JSON."""
        told = {name: getattr(self, name) for name in self.__struct_fields__ if name != "raw"}
        return {**told, "body": msgspec.Raw(self.raw)}


class Summary(msgspec.Struct, frozen=True):
    """What all users received, in numbers."""

    received: int
    distinct: int
    """By open id and client_msg_id."""
    duplicates: int
    """What was received beyond that: where the sender gave no id, a user's second message too."""
    channels: dict[str, int]
    """How many by each endpoint."""


class Ledger:
    """All messages that reached anyone, in order."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._summed = 0
        """How many of them are in the sums; the others are added when somebody asks."""
        self._known: set[tuple[str, str]] = set()
        self._channels: Counter[str] = Counter()

    def add(
        self, open_id: str, channel: str, number: int, key: str, at: float, body: dict[str, Any]
    ) -> None:
        """Note that a user received something; ``key`` is its client_msg_id."""
        self.received.append(Received(open_id, channel, number, key, at, _ENCODE(body)))

    def of(self, open_id: str) -> list[Received]:
        """Return what a user received."""
        return [one for one in self.received if one.open_id == open_id]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each user received what a sender told apart by its own id."""
        return Counter((one.open_id, one.client_msg_id) for one in self.received)

    def summary(self) -> Summary:
        """Return the numbers; what was counted before is not counted again."""
        new = self.received[self._summed :]
        self._summed += len(new)
        self._known.update((one.open_id, one.client_msg_id) for one in new)
        self._channels.update(one.channel for one in new)
        return Summary(
            self._summed, len(self._known), self._summed - len(self._known), dict(self._channels)
        )
