"""What callbacks tell of who users are, by lanes of its own to where people are kept.

One lane has what is learned at once; the other those whom WeChat is to be asked about, which may
take long.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from gateway.errors import ApiError, Busy, Limited, NotSent, Throttled, Unanswered
from gateway.identity.people import Person
from gateway.identity.told import TELLING
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Settlement
from gateway.inbound.context import Context
from gateway.inbound.ports import Taken
from gateway.inbound.stored import store_fields, stored_fields
from gateway.protocol.decode import decode
from gateway.protocol.events.follow import Subscribe
from gateway.protocol.messages import Message

_log = logging.getLogger("gateway.inbound")

PEOPLE: Final = "people"
"""The lane of what is learned at once."""

FOLLOWER: Final = "follower"
"""The lane of those whom WeChat is asked about."""

WAIT_SECONDS: Final = 60.0
"""How long a follower waits who cannot be asked about now."""

_LATER: Final = (NotSent, Busy, Throttled, Limited, Unanswered)


class Learns(Protocol):
    """Keeps what is learned of people: the identity's Learner."""

    def note(self, account: str, message: Message) -> None:
        """Note that somebody did something."""

    def asks(self, account: str) -> bool:
        """Tell whether WeChat is asked about those who follow an account."""

    async def learn(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Keep what messages tell, each with its account; raise StoreDown."""

    async def look_up(self, account: str, open_ids: Sequence[str]) -> None:
        """Ask WeChat about followers; raise ApiError, and StoreDown."""

    async def sender(self, account: str, open_id: str) -> Person:
        """Return who a user is."""


def people_entry(message: Message, context: Context) -> Entry | None:
    """Return the entry for what a message tells of its user; None where it tells nothing."""
    if not isinstance(message, TELLING):
        return None
    kind = type(message).__name__
    return Entry(PEOPLE, context.account.name, kind, store_fields(message))


class Learning:
    """Learns what waits in the first lane."""

    def __init__(self, people: Learns) -> None:
        self._people = people

    async def learn(self, taken: Sequence[Taken], settlement: Settlement) -> None:
        """Keep what these entries tell; those who follow since are asked about later."""
        read = await settlement.readable(taken, stored_fields, "unreadable")
        told = [(one, decode(fields)) for one, fields in read]
        await self._people.learn((one.entry.account, message) for one, message in told)
        for one, message in told:
            await settlement.done(one, self._asked(one.entry.account, message))

    def _asked(self, account: str, message: Message) -> tuple[Entry, ...]:
        if not isinstance(message, Subscribe) or not self._people.asks(account):
            return ()
        return (Entry(FOLLOWER, account, "open_id", message.from_user_name.encode()),)


class LookingUp:
    """Asks WeChat about those in the second lane."""

    def __init__(self, people: Learns) -> None:
        self._people = people

    async def look_up(self, taken: Sequence[Taken], settlement: Settlement) -> None:
        """Ask about these followers, each account's together."""
        accounts: defaultdict[str, list[Taken]] = defaultdict(list)
        for one in taken:
            accounts[one.entry.account].append(one)
        for account, followers in accounts.items():
            await self._of(account, followers, settlement)

    async def _of(self, account: str, taken: Sequence[Taken], settlement: Settlement) -> None:
        if self._people.asks(account):
            try:
                await self._people.look_up(account, [one.entry.body.decode() for one in taken])
            except _LATER as error:
                _log.warning("followers are asked about later account=%s: %s", account, error)
                for one in taken:
                    await settlement.postpone(one, WAIT_SECONDS)
                return
            except ApiError as error:
                _log.error("union ids are not learned account=%s: %s", account, error)
        for one in taken:
            await settlement.done(one)
