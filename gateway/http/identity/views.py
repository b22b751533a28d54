"""Sessions and people as responses show them: times as RFC 3339 has them, in UTC."""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from gateway.identity.people import Consent, Identity, Merge, Person
from gateway.identity.session import Session


class SessionView(msgspec.Struct, frozen=True):
    """A session, for whoever is signed in by it."""

    person: str
    account: str
    tenant: str
    app_id: str
    open_id: str
    union_id: str | None
    nickname: str | None
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    began_at: datetime
    expires_at: datetime
    """Until when it is good, unless it is renewed."""
    ends_at: datetime
    """Until when it can be renewed."""


class TokenView(msgspec.Struct, frozen=True):
    """What an app gets."""

    token: str
    """To be sent as ``Authorization: Bearer …``."""
    session: SessionView


class SessionEntry(msgspec.Struct, frozen=True):
    """One of a person's sessions, in a list."""

    handle: str
    """What it is ended by: nobody is signed in by this."""
    account: str
    began_at: datetime
    seen_at: datetime
    expires_at: datetime
    current: bool
    """Whether it is the one of this request."""


class IdentityView(msgspec.Struct, frozen=True):
    """An open id."""

    account: str | None
    """The account's name in the settings; null where no account has this app id any more."""
    app_id: str
    open_id: str
    platform: str
    subscribed: bool | None
    subscribed_at: datetime | None
    nickname: str | None
    avatar: str | None
    first_seen: datetime
    last_active: datetime | None


class ConsentView(msgspec.Struct, frozen=True):
    """What a user answered for a template's notices."""

    app_id: str
    template_id: str
    accepted: bool
    at: datetime


class PersonView(msgspec.Struct, frozen=True):
    """Somebody."""

    id: str
    union_id: str | None
    created_at: datetime
    last_active: datetime | None
    identities: tuple[IdentityView, ...]
    tags: tuple[str, ...]
    roles: tuple[str, ...]
    consents: tuple[ConsentView, ...]
    former_ids: tuple[str, ...]


class MergeView(msgspec.Struct, frozen=True):
    """An open id that turned out to be another person's."""

    number: int
    at: datetime
    app_id: str
    former: str
    person: str
    whole: bool
    """Whether nothing is left of the former."""


def session_view(session: Session) -> SessionView:
    """Return a session as its user sees it."""
    return SessionView(
        person=session.person,
        account=session.account,
        tenant=session.tenant,
        app_id=session.app_id,
        open_id=session.open_id,
        union_id=session.union_id,
        nickname=session.nickname,
        roles=session.roles,
        permissions=session.permissions,
        began_at=_time(session.began_at),
        expires_at=_time(session.expires_at),
        ends_at=_time(session.ends_at),
    )


def session_entry(session: Session, current: str | None = None) -> SessionEntry:
    """Return a session as a list shows it."""
    return SessionEntry(
        handle=handle_of(session),
        account=session.account,
        began_at=_time(session.began_at),
        seen_at=_time(session.seen_at),
        expires_at=_time(session.expires_at),
        current=session.id == current,
    )


def handle_of(session: Session) -> str:
    """Return what a session is known by to those who are not to be signed in by it."""
    return sha256(session.id.encode()).hexdigest()[:16]


def person_view(person: Person, names: dict[str, str]) -> PersonView:
    """Return a person; ``names`` has the accounts by their app ids."""
    return PersonView(
        id=person.id,
        union_id=person.union_id,
        created_at=_time(person.created_at),
        last_active=_maybe(person.last_active),
        identities=tuple(_identity(one, names) for one in person.identities),
        tags=person.tags,
        roles=person.roles,
        consents=tuple(_consent(one) for one in person.consents),
        former_ids=person.former_ids,
    )


def merge_view(merge: Merge) -> MergeView:
    """Return a merge, without the open id."""
    at = _time(merge.at)
    return MergeView(
        merge.number, at, merge.user.app_id, merge.former, merge.person, whole=merge.whole
    )


def _identity(identity: Identity, names: dict[str, str]) -> IdentityView:
    return IdentityView(
        account=names.get(identity.user.app_id),
        app_id=identity.user.app_id,
        open_id=identity.user.open_id,
        platform=str(identity.platform),
        subscribed=identity.subscribed,
        subscribed_at=_maybe(identity.subscribed_at),
        nickname=identity.nickname,
        avatar=identity.avatar,
        first_seen=_time(identity.first_seen),
        last_active=_maybe(identity.last_active),
    )


def _consent(consent: Consent) -> ConsentView:
    at = _time(consent.at)
    return ConsentView(consent.user.app_id, consent.template_id, accepted=consent.accepted, at=at)


def _maybe(seconds: float) -> datetime | None:
    return _time(seconds) if seconds else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
