"""What a load generator is: it sends callbacks for some seconds and keeps every reply."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from bench.load.callbacks import CallbackSet
from bench.load.cores import UsageMeter

HOST: Final = "127.0.0.1"
"""Where servers listen and load goes: this machine, always."""

REPLY_TIMEOUT: Final = 2.0
"""Seconds after which a reply counts as timed out; WeChat itself waits 5."""


class LoadError(Exception):
    """A run cannot go on; the message is one line, more below it where a server said more."""


class Answer(NamedTuple):
    """One reply: the index of the callback it answers, where the generator knows it."""

    callback: int | None
    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of a generator saw."""

    seconds: float
    requests: int
    """Replies that came within these seconds."""
    sent: int
    """Callbacks taken from the set."""
    p50_ms: float
    p99_ms: float
    answers: Iterable[Answer]
    """Every reply, to be read once."""
    socket_errors: int
    timeouts: int
    lost: int
    """Callbacks that were sent and never answered, beyond those under way at the end."""


class Generator(Protocol):
    """Sends callbacks over keep-alive connections, one under way on each."""

    name: str

    def run(
        self,
        port: int,
        callbacks: CallbackSet,
        *,
        start: int,
        seconds: int,
        connections: int,
        meter: UsageMeter,
    ) -> Load:
        """Send the callbacks from index ``start`` on, for some seconds."""
        ...
