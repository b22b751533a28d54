"""Forgetting a person: all that is kept of them, in every store, their identities last.

So a run that was broken off can be repeated: until all else is gone, it is known whose it was.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from gateway.errors import GatewayError
from gateway.identity.directory import ids_of
from gateway.identity.forgotten import Forgotten
from gateway.identity.people import AppUser, Person
from gateway.identity.places import Places
from gateway.identity.ports import Secret
from gateway.identity.session import Session
from gateway.identity.syncing import checkpoint_name
from gateway.outbound.jobs import Wanted

COUNTED: Final = 1000
"""Callbacks that are counted before; there may be more."""


class BeingSent(GatewayError):
    """Messages to a person are being sent at this moment, and so they are not forgotten yet."""

    def __init__(self, messages: int) -> None:
        super().__init__(messages)
        self.messages = messages

    def __str__(self) -> str:
        return (
            f"messages that are being sent to them at this moment: {self.messages:,}; erase them "
            "again when these have ended, in a minute or so"
        )


class Forgets(Protocol):
    """Whatever has open ids in it: the dead letters."""

    async def erase(self, account: str, open_id: str) -> int:
        """Remove all that is of a user; return how much that was."""


class Messages(Forgets, Protocol):
    """What was pushed: JobRecords."""

    async def count(self, wanted: Wanted) -> int:
        """Return how many are meant."""

    async def erase(self, account: str, open_id: str) -> int:
        """Remove all but what a worker has at this moment; return how many."""


class Callbacks(Forgets, Protocol):
    """What came: the Archive."""

    async def of_user(self, account: str, open_id: str, limit: int) -> Sequence[Any]:
        """Return what came from a user."""


class Elsewhere(NamedTuple):
    """What is kept of users beside their identities, by account and open id."""

    messages: Messages
    callbacks: Callbacks
    dead_letters: Forgets


class People(Protocol):
    """What is asked of the store of people: IdentityStore, SecretStore and Checkpoints."""

    async def person(self, id_: str) -> Person | None:
        """Return a person by their id, or by one that was theirs before a merge."""

    async def owner(self, user: AppUser) -> Person | None:
        """Return whose open id this is."""

    async def erase(self, id_: str) -> Person | None:
        """Remove a person with all that is kept there of them; return who that was."""

    async def erase_user(self, user: AppUser) -> Person | None:
        """Remove one open id with all that is kept there of it; return who had it."""

    async def secrets(self, users: Sequence[AppUser]) -> list[Secret]:
        """Return all that these users have."""

    async def checkpoint(self, name: str) -> bytes | None:
        """Return what was noted last."""

    async def note_checkpoint(self, name: str, noted: bytes | None) -> None:
        """Note how far it is; None when it is done."""


class Ends(Protocol):
    """What is asked of sessions: Sessions."""

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of people."""

    async def end(self, sessions: Sequence[str]) -> int:
        """End sessions by their ids; return how many there were."""

    async def end_all(self, people: Sequence[str]) -> int:
        """End all sessions of people; return how many there were."""


class Holdings(NamedTuple):
    """How much is kept of a person."""

    identities: int
    tags: int
    roles: int
    consents: int
    secrets: int
    sessions: int
    messages: int
    callbacks: int
    """Up to COUNTED of each account and open id."""


class Erased(NamedTuple):
    """How much was removed."""

    identities: int
    sessions: int
    messages: int
    callbacks: int
    dead_letters: int


class Eraser:
    """Forgets people."""

    def __init__(
        self,
        store: People,
        sessions: Ends,
        elsewhere: Elsewhere,
        places: Places,
        forgotten: Forgotten,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._elsewhere = elsewhere
        self._places = places
        self._forgotten = forgotten

    async def look(self, person: Person) -> Holdings:
        """Return how much is kept; of dead letters nobody knows before whose they are."""
        users = [one.user for one in person.identities]
        callbacks = 0
        for account, open_id in self._places.of(sorted(users)):
            callbacks += len(await self._elsewhere.callbacks.of_user(account, open_id, COUNTED))
        return Holdings(
            identities=len(users),
            tags=len(person.tags),
            roles=len(person.roles),
            consents=len(person.consents),
            secrets=len(await self._store.secrets(users)),
            sessions=len(await self._sessions.of(ids_of(person))),
            messages=await self._messages(users),
            callbacks=callbacks,
        )

    def unknown_apps(self, person: Person) -> list[str]:
        """Return the app ids of a person that no account has: nothing else is found by them."""
        return self._places.unknown(one.user for one in person.identities)

    async def erase(self, id_: str) -> Erased | None:
        """Remove all that is kept of a person; None where there is nobody.

        Raises StoreDown, and BeingSent, with which their identities are left, and what is sent.
        """
        person = await self._store.person(id_)
        if person is None:
            return None
        ended = await self._sessions.end_all(ids_of(person))
        users = {one.user for one in person.identities}
        counts = await self._forget(users)
        if left := await self._messages(users):
            raise BeingSent(left)
        await self._forgotten.note(users)
        gone = await self._store.erase(person.id)
        if gone is not None:
            # What became theirs in the meantime, by a merge or a sign-in.
            late = {one.user for one in gone.identities} - users
            counts = [a + b for a, b in zip(counts, await self._forget(late), strict=True)]
            users |= late
            await self._forgotten.note(late)
            ended += await self._sessions.end_all(ids_of(gone))
        return Erased(len(users), ended, *counts)

    async def erase_user(self, user: AppUser) -> None:
        """Remove all that is kept of one open id; its person stays, where they have others.

        Raises StoreDown, and BeingSent, with which the identity is left, and what is sent.
        """
        await self._end_sessions(await self._store.owner(user), user)
        await self._forget({user})
        if left := await self._messages({user}):
            raise BeingSent(left)
        await self._forgotten.note({user})
        # A sign-in may have been under way.
        await self._end_sessions(await self._store.erase_user(user), user)

    async def _end_sessions(self, person: Person | None, user: AppUser) -> None:
        if person is not None:
            found = await self._sessions.of(ids_of(person))
            await self._sessions.end([one.id for one in found if (one.app_id, one.open_id) == user])

    async def _messages(self, users: Iterable[AppUser]) -> int:
        """Return how many there are."""
        count = 0
        for account, open_id in self._places.of(sorted(users)):
            wanted = Wanted(account=account, to=open_id)
            count += await self._elsewhere.messages.count(wanted)
        return count

    async def _forget(self, users: Iterable[AppUser]) -> list[int]:
        """Remove what there is elsewhere; return how much, in the order of Elsewhere."""
        counts = [0] * len(self._elsewhere)
        for account, open_id in self._places.of(sorted(users)):
            for number, place in enumerate(self._elsewhere):
                counts[number] += await place.erase(account, open_id)
            await self._forget_checkpoint(account, open_id)
        return counts

    async def _forget_checkpoint(self, account: str, open_id: str) -> None:
        """Let a run that was broken off begin anew where its note of the place has the open id."""
        name = checkpoint_name(account)
        noted = await self._store.checkpoint(name)
        if noted is not None and open_id.encode() in noted:
            await self._store.note_checkpoint(name, None)
