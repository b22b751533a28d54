"""What happens, told at once to those who look on: `gateway tail`. Nobody looking on costs nothing.

As with a logger, whoever has something to tell imports the TAP of this process:

    if TAP.is_open:
        TAP.tell(Happening("refused", account, outcome=reason))

Neither what a user wrote is told, nor who they are: a happening has the hash of an open id.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from gateway.telemetry.masking import open_id_hash


class Happening(NamedTuple):
    """Something that became of a callback or of a pushed message."""

    what: str
    """callback, refused, handled, retried, buried, forwarded, queued, attempt or receipt."""
    account: str
    kind: str = ""
    """A message's class, such as Text; of what is pushed its template's name or its channel."""
    open_id: str = ""
    """Told as a hash."""
    id: str = ""
    """Of a message or a job, as `gateway trace` takes it; of an entry, its dead letter's."""
    outcome: str = ""
    seconds: float | None = None
    """How long it took."""
    detail: str = ""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """A happening as an onlooker gets it, a line of JSON."""

    at: float
    """Unix seconds."""
    what: str
    account: str
    type: str = ""
    user: str = ""
    """The hash of an open id."""
    id: str = ""
    outcome: str = ""
    seconds: float | None = None
    detail: str = ""


class Interest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an onlooker wants to be told; None: whatever there is."""

    account: str | None = None
    type: str | None = None
    user: str | None = None
    """The hash of an open id."""

    def takes(self, told: Told) -> bool:
        """Tell whether it is wanted."""
        return (
            self.account in (None, told.account)
            and self.type in (None, told.type)
            and self.user in (None, told.user)
        )


class Onlooker(Protocol):
    """Somebody who looks on."""

    @property
    def interest(self) -> Interest:
        """What they want to be told."""

    def hear(self, told: Told) -> None:
        """Take what happened; must neither wait nor raise."""


class Tap:
    """Where a process tells what happens."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives Unix seconds."""
        self._clock = clock
        self._onlookers: list[Onlooker] = []
        self.is_open = False
        """Whether anybody looks on: to be asked before anything is made for them."""

    def open(self, onlooker: Onlooker) -> None:
        """Tell somebody what happens from now on."""
        self._onlookers.append(onlooker)
        self.is_open = True

    def close(self, onlooker: Onlooker) -> None:
        """Tell them no more."""
        self._onlookers.remove(onlooker)
        self.is_open = bool(self._onlookers)

    def tell(self, happening: Happening) -> None:
        """Tell everybody who wants to know."""
        what, account, kind, open_id, id_, outcome, seconds, detail = happening
        user = open_id_hash(open_id) if open_id else ""
        told = Told(self._clock(), what, account, kind, user, id_, outcome, seconds, detail)
        for onlooker in self._onlookers:
            if onlooker.interest.takes(told):
                onlooker.hear(told)


TAP = Tap()
"""This process's."""
