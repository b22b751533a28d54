"""What identity asks of the outside: small Protocols, one suite of tests over every adapter.

Every method raises StoreDown where the store cannot be reached or does not answer in time.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.identity.people import AppUser, Consent, Merge, Person, Sighting
from gateway.identity.session import Session


class IdentityStore(Protocol):
    """People and their open ids, for good; every call is done whole or not at all."""

    async def see(self, sightings: Sequence[Sighting]) -> list[str]:
        """Take what was learned of open ids, and return whose each is: the id of the person.

        An open id not seen before is a person of its own, or its union id's. One whose union id
        is learned goes to the person of that union id; where there is none yet, its own person is
        that from now on. What goes to somebody else is noted as a Merge. Several sightings of one
        open id may be in a batch.
        """

    async def answer(self, consents: Sequence[Consent]) -> None:
        """Keep what users answered; of an open id not seen before nothing is kept."""

    async def person(self, id_: str) -> Person | None:
        """Return a person by their id, or by one that was theirs before a merge."""

    async def owner(self, user: AppUser) -> Person | None:
        """Return whose open id this is."""

    async def bearer(self, union_id: str) -> Person | None:
        """Return whose union id this is."""

    async def tag(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's tags; return whether there is such a person.

        What is added hangs on the identity first seen; what is removed is removed from all. What
        is in both is there in the end; so it is with roles.
        """

    async def grant(self, id_: str, add: Sequence[str], remove: Sequence[str]) -> bool:
        """Change a person's roles; return whether there is such a person."""

    async def merges(
        self, limit: int, after: int = 0, *, person: str | None = None, unsettled: bool = False
    ) -> list[Merge]:
        """Return merges by their numbers, oldest first, from behind ``after``.

        ``person`` leaves those that this one had part in, by their id now or a former one;
        ``unsettled`` those that are not settled.
        """

    async def settle(self, numbers: Sequence[int]) -> None:
        """Note that sessions follow these merges."""

    async def unfollow(self, app_id: str, before: float, at: float) -> int:
        """Note that those do not follow an app, whose following was seen before that time only.

        Behind a listing of all followers that was begun ``before``; return how many.
        """

    async def forget_profile(self, users: Sequence[AppUser]) -> None:
        """Remove names and pictures: these users took back the right to them.

        They come back only by what is learned later than they were.
        """

    async def erase(self, id_: str) -> Person | None:
        """Remove a person with all that is kept here of them, secrets and merges too.

        Return who that was; None where there is nobody. In a SQLite file nothing of it is left,
        nor in its log once nobody reads an older state. Postgres writes over it when it cleans up
        (VACUUM), and its own log and replicas are not under the gateway's control.
        """

    async def erase_user(self, user: AppUser) -> Person | None:
        """Remove one open id with all that hangs on it; the person, too, where it was their last.

        Return the person as they were before; None where it is nobody's: secrets that there may be
        are removed all the same.
        """

    async def count(self) -> tuple[int, int]:
        """Return how many people there are, and how many open ids."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class Secret(NamedTuple):
    """What is kept of a user and is nobody's to read: sealed, by whoever keeps it."""

    user: AppUser
    kind: str
    """Such as ``user_token`` or ``session_key``; a user has one of each."""
    sealed: bytes
    until: float
    """When it is good for nothing any more, Unix seconds."""


class SecretStore(Protocol):
    """Secrets of users, erased together with their identities."""

    async def keep_secret(self, secret: Secret) -> None:
        """Keep one, in place of any other of this user and kind, whether or not they were seen."""

    async def secret(self, user: AppUser, kind: str) -> Secret | None:
        """Return one, though its time may be over."""

    async def secrets(self, users: Sequence[AppUser]) -> list[Secret]:
        """Return all that these users have."""

    async def prune_secrets(self, before: float) -> int:
        """Remove those whose time was over before that; return how many."""


class Checkpoints(Protocol):
    """Where long work goes on after it was broken off."""

    async def checkpoint(self, name: str) -> bytes | None:
        """Return what was noted last; None where nothing is under way."""

    async def note_checkpoint(self, name: str, noted: bytes | None) -> None:
        """Note how far it is; None when it is done."""


class SessionStore(Protocol):
    """Sessions by their ids, until they expire."""

    async def put(self, session: Session) -> None:
        """Keep a new one."""

    async def get(self, ids: Sequence[str]) -> list[Session | None]:
        """Return those that are there and have not expired, in this order."""

    async def change(self, session: Session) -> bool:
        """Put one in place of what has its id; not where that is gone. Return whether it is so."""

    async def revoke(self, ids: Sequence[str]) -> int:
        """End these; return how many were there."""

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of these people, those begun last first."""

    async def prune(self) -> int:
        """Remove what has expired, where the store does not do so by itself; return how many."""

    async def close(self) -> None:
        """Let go of connections and threads."""


class Claim(NamedTuple):
    """What came of the wish to exchange a code."""

    mine: bool
    """Whether it is this call's to exchange it."""
    outcome: bytes | None = None
    """What came of it, while that is there for who brings the code again."""
    spent: bool = False
    """Whether it was exchanged, and what came of it is gone."""


class SignInStore(Protocol):
    """Sign-ins whose code is being exchanged: each is done once, whoever calls how often."""

    async def claim(self, key: str, code: bytes, seconds: float, keep: float) -> Claim | None:
        """Ask to exchange the code of a sign-in; who gets that has so many seconds for it.

        A sign-in is known from its first claim on, for ``keep`` seconds. The code of that claim is
        its own: None for any other.
        """

    async def finish(self, key: str, outcome: bytes, seconds: float) -> None:
        """Note what came of it, for so many seconds; where the sign-in is gone, nothing."""

    async def release(self, key: str) -> None:
        """Let another one exchange the code: nothing was done with it."""

    async def prune(self) -> None:
        """Remove what has expired, where the store does not do so by itself."""

    async def close(self) -> None:
        """Let go of connections and threads."""
