"""Sessions: begun by a sign-in, known by a token, renewed while they are used, ended at once."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from gateway.identity.apps import App
from gateway.identity.gathering import Gathering
from gateway.identity.people import AppUser, Identity, Person
from gateway.identity.ports import SessionStore
from gateway.identity.session import Session
from gateway.identity.session_tokens import Claims, SessionTokens, TokenRefused

_AGAIN: Final = 3
"""How often rights are looked at again that may have changed while they were written."""

_ENDED_SECONDS: Final = 5.0
"""How long it is remembered at least that a session was ended here."""

MAX_KEPT: Final = 100_000
"""Tokens and sessions that a process remembers; with more, it begins anew."""


class Lifetimes(NamedTuple):
    """How long things are good for, in seconds."""

    session: float
    """A session that is not used."""
    most: float
    """A session that is."""
    cache: float
    """What a process remembers of a session, and so how late it may learn that it was ended."""


class Opened(NamedTuple):
    """A session, and the token that its user has."""

    session: Session
    token: str

    def __repr__(self) -> str:
        return f"Opened({self.session!r})"


class Seen(NamedTuple):
    """A session that was found by its token."""

    session: Session
    token_expires_at: float
    """Unix seconds."""


class Rights(Protocol):
    """What people may do, as it is now."""

    async def of(self, session: Session) -> Session | None:
        """Return a session with what its person has now; None where there is nobody."""


class Roles:
    """What each role permits."""

    def __init__(self, roles: Mapping[str, tuple[str, ...]]) -> None:
        """``roles`` has the permissions of each, by its name."""
        self._roles = roles

    def __contains__(self, role: str) -> bool:
        return role in self._roles

    @property
    def names(self) -> tuple[str, ...]:
        """All there are."""
        return tuple(self._roles)

    def permissions(self, roles: Sequence[str]) -> tuple[str, ...]:
        """Return what these roles permit together; a role that is not there any more nothing."""
        return tuple(sorted({one for role in roles for one in self._roles.get(role, ())}))


class Sessions:
    """All sessions, as one process sees them."""

    def __init__(
        self,
        store: SessionStore,
        tokens: SessionTokens,
        lifetimes: Lifetimes,
        roles: Roles,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        """``new_id`` makes ids that nobody guesses."""
        self._store = store
        self._tokens = tokens
        self._lifetimes = lifetimes
        self._roles = roles
        self._clock = clock
        self._new_id = new_id
        self._reads = Gathering[str, Session | None](self._read_store)
        self._claims: dict[str, Claims] = {}
        self._kept: dict[str, tuple[Session | None, float]] = {}
        """Of each session what was found, and until when that counts."""

    async def open(self, app: App, person: Person, identity: Identity) -> Opened:
        """Begin the session of a person who signed in to an app; raise StoreDown."""
        now = self._clock()
        ends_at = now + self._lifetimes.most
        session = Session(
            id=self._new_id(),
            person=person.id,
            account=app.name,
            app_id=app.app_id,
            open_id=identity.user.open_id,
            began_at=now,
            seen_at=now,
            expires_at=min(now + self._lifetimes.session, ends_at),
            ends_at=ends_at,
            union_id=person.union_id,
            nickname=identity.nickname,
            tenant=app.tenant,
            roles=person.roles,
            permissions=self._roles.permissions(person.roles),
        )
        await self._store.put(session)
        return Opened(session, self._tokens.sign(session))

    async def settled(self, session: Session, rights: Rights) -> Session | None:
        """Return a session that was just begun with what its person has; ended where nobody is."""
        current = await rights.of(session)
        if current == session:
            return session
        renewed = None if current is None else await self._renewed(session, rights)
        if renewed is None:
            await self.end([session.id])
        return renewed

    async def find(self, token: str) -> Seen:
        """Return the session of a token; raise TokenRefused, and StoreDown."""
        now = self._clock()
        claims = self._claims.get(token) or self._read(token)
        if claims.expires_at <= now:
            raise TokenRefused
        session, until = self._kept.get(claims.session, (None, 0.0))
        if until <= now:
            session = self._keep(claims.session, await self._reads.get(claims.session), now)
        if session is None or session.account != claims.account:
            raise TokenRefused
        return Seen(session, claims.expires_at)

    async def renew(self, seen: Seen, rights: Rights, *, now: bool = False) -> Opened | None:
        """Return a session's new token, where half of the old one's time is over, or ``now``.

        None where that is not so, or the session is at its end, or was ended; raise StoreDown.
        """
        at, session, span = self._clock(), seen.session, self._lifetimes.session
        until = min(at + span, session.ends_at)
        if int(until) <= seen.token_expires_at or not (now or self.is_due(seen)):
            return None
        if now or until - session.expires_at >= 1:
            # Else another of its user's requests did it just now.
            renewed = await self._renewed(replace(session, seen_at=at, expires_at=until), rights)
            if renewed is None:
                await self.end([session.id])
                return None
            session = renewed
            self._keep(session.id, session, at)
        return Opened(session, self._tokens.sign(session))

    async def _renewed(self, session: Session, rights: Rights) -> Session | None:
        """Return a session as it is stored, with its person's rights; None where it is over.

        What they may do can change while it is written: then it is written again.
        """
        for _ in range(_AGAIN):
            current = await rights.of(session)
            if current is None or not await self._store.change(current):
                return None
            if await rights.of(current) == current:
                return current
            session = current
        return session

    def is_due(self, seen: Seen) -> bool:
        """Tell whether half of a token's time is over."""
        return seen.token_expires_at - self._clock() < self._lifetimes.session / 2

    async def end(self, sessions: Sequence[str]) -> int:
        """End sessions by their ids: at once here, within the cache's time elsewhere."""
        ended = await self._store.revoke(sessions)
        for id_ in sessions:
            # Longer than any read takes that is under way: such a one does not bring it back.
            self._kept[id_] = (None, self._clock() + max(self._lifetimes.cache, _ENDED_SECONDS))
        return ended

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of people, those begun last first."""
        return await self._store.of(people)

    async def end_all(self, people: Sequence[str]) -> int:
        """End all sessions of people; return how many there were."""
        return await self.end([one.id for one in await self._store.of(people)])

    async def hand_over(self, former: Sequence[str], person: Person, user: AppUser | None) -> None:
        """Let a person have the sessions of others: all, or those of one open id.

        With what the person has now. Also of the person's own, whose rights changed.
        """
        for session in await self._store.of(former):
            if user is None or user == (session.app_id, session.open_id):
                changed = with_rights(session, person, self._roles)
                await self._store.change(changed)
                self._kept.pop(session.id, None)

    async def prune(self) -> None:
        """Remove from the store what has expired."""
        await self._store.prune()

    def _read(self, token: str) -> Claims:
        claims = self._tokens.read(token)
        if len(self._claims) >= MAX_KEPT:
            self._claims.clear()
        self._claims[token] = claims
        return claims

    def _keep(self, id_: str, session: Session | None, now: float) -> Session | None:
        """Remember what was found of a session, and return it; not where it was ended meanwhile."""
        known, until = self._kept.get(id_, (session, 0.0))
        if known is None and until > now:
            return None
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[id_] = (session, now + self._lifetimes.cache)
        return session

    async def _read_store(self, ids: Sequence[str]) -> list[Session | None]:
        """Return sessions with what their roles permit by the settings of now."""
        found = await self._store.get(ids)
        return [
            one and replace(one, permissions=self._roles.permissions(one.roles)) for one in found
        ]


def with_rights(session: Session, person: Person, roles: Roles) -> Session:
    """Return a session as its person's now."""
    user = (session.app_id, session.open_id)
    names = [one.nickname for one in person.identities if one.user == user]
    return replace(
        session,
        person=person.id,
        union_id=person.union_id,
        nickname=names[0] if names else None,
        roles=person.roles,
        permissions=roles.permissions(person.roles),
    )
