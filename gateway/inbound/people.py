"""What callbacks tell of who users are, by lanes of its own to where people are kept.

One lane has what is learned at once; the others those whom WeChat is to be asked about, which may
take long, and those of whom nothing may be kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from gateway.errors import (
    ApiError,
    Busy,
    Limited,
    NotSent,
    Throttled,
    TokenUnavailable,
    Unanswered,
)
from gateway.identity.erasing import BeingSent
from gateway.identity.people import Person
from gateway.identity.told import TELLING, user_of
from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Settlement
from gateway.inbound.context import Context
from gateway.inbound.ports import Taken
from gateway.inbound.stored import store_fields, stored_fields
from gateway.protocol.decode import decode
from gateway.protocol.events.follow import Subscribe
from gateway.protocol.events.service import UserAuthorizationCancellation
from gateway.protocol.messages import Message
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.inbound")

PEOPLE: Final = "people"
"""The lane of what is learned at once."""

FOLLOWER: Final = "follower"
"""The lane of those whom WeChat is asked about."""

GONE: Final = "gone"
"""The lane of those who closed their WeChat account."""

WAIT_SECONDS: Final = 60.0
"""How long a user waits who cannot be asked about now, or not be forgotten yet."""

_LATER: Final = (NotSent, Busy, Throttled, Limited, TokenUnavailable, Unanswered)


class Learns(Protocol):
    """Keeps what is learned of people: the identity's Learner."""

    def note(self, account: str, message: Message) -> None:
        """Note that somebody did something."""

    def asks(self, account: str) -> bool:
        """Tell whether WeChat is asked about those who follow an account."""

    async def learn(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Keep what messages tell, each with its account; raise StoreDown."""

    async def forget(self, account: str, open_id: str) -> None:
        """Erase what is kept of a user; raise StoreDown, and BeingSent where that is not yet."""

    async def look_up(self, account: str, open_ids: Sequence[str]) -> None:
        """Ask WeChat about followers; raise ApiError, and StoreDown."""

    async def sender(self, account: str, message: Message) -> Person | None:
        """Return whom a message is from; None where they were erased since."""


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
        """Keep what these entries tell; what takes longer is put into the other lanes."""
        read = await settlement.readable(taken, stored_fields, "unreadable")
        told = [(one, decode(fields)) for one, fields in read]
        await self._people.learn((one.entry.account, message) for one, message in told)
        for one, message in told:
            await settlement.done(one, self._behind(one.entry.account, message))

    def _behind(self, account: str, message: Message) -> tuple[Entry, ...]:
        """Return what is to be done about a user later."""
        user = user_of(message).encode()
        if isinstance(message, Subscribe) and self._people.asks(account):
            return (Entry(FOLLOWER, account, "open_id", user),)
        if isinstance(message, UserAuthorizationCancellation) and user:
            return (Entry(GONE, account, "open_id", user),)
        return ()


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
                _log.warning("followers are asked about later", account=account, error=str(error))
                for one in taken:
                    await settlement.postpone(one, WAIT_SECONDS)
                return
            except ApiError as error:
                _log.error("union ids are not learned", account=account, error=str(error))
        for one in taken:
            await settlement.done(one)


class Forgetting:
    """Erases what is kept of those in the third lane."""

    def __init__(self, people: Learns) -> None:
        self._people = people

    async def forget(self, taken: Sequence[Taken], settlement: Settlement) -> None:
        """Erase these users; whom something is being sent to is tried again."""
        for one in taken:
            try:
                await self._people.forget(one.entry.account, one.entry.body.decode())
            except BeingSent:
                await settlement.postpone(one, WAIT_SECONDS)
            else:
                await settlement.done(one)
