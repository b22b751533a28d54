"""All that is kept of a person, as one JSON document: for them, when they ask for it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway.identity.app_sign_in import PHONE
from gateway.identity.directory import ids_of
from gateway.identity.people import AppUser, Identity, Merge, Person
from gateway.identity.places import Places
from gateway.identity.ports import Secret
from gateway.identity.session import Session
from gateway.identity.user_tokens import place_of
from gateway.identity.vault import CannotOpen, Vault
from gateway.outbound.endpoints.web import PhoneNumber
from gateway.outbound.jobs import Record, Wanted

AT_ONCE: Final = 1000
"""Merges and messages that are read in one step."""

MOST_CALLBACKS: Final = 50_000
"""Callbacks of an account and open id; the document says so where there are more."""

SEALED: Final = "kept, sealed"

_NOT_HERE: Final = (
    "What messages say: it is kept, unread, until they are sent.",
    "Callbacks that wait to be handled or could not be: see `gateway inbox`.",
    "Replies that are kept for store.dedupe_seconds, for WeChat's repeats.",
    "What was handed on to other systems, what WeChat itself keeps, and backups.",
)


class Callback(Protocol):
    """A callback as it came."""

    @property
    def account(self) -> str:
        """The account's name."""

    @property
    def kind(self) -> str:
        """What it is, such as Text."""

    @property
    def received_at(self) -> float:
        """Unix seconds."""

    @property
    def document(self) -> bytes:
        """Its fields, as JSON."""


class Callbacks(Protocol):
    """What came: the Archive."""

    async def of_user(self, account: str, open_id: str, limit: int) -> Sequence[Callback]:
        """Return what came from a user."""


class Messages(Protocol):
    """What was pushed: JobRecords."""

    async def find(self, wanted: Wanted, limit: int, after: str | None = None) -> list[Record]:
        """Return jobs that are meant, newest first; only those older than the job ``after``."""


class People(Protocol):
    """What is asked of the store of people: IdentityStore and SecretStore."""

    async def merges(self, limit: int, after: int = 0, *, person: str | None = None) -> list[Merge]:
        """Return merges by their numbers, oldest first, from behind ``after``."""

    async def secrets(self, users: Sequence[AppUser]) -> list[Secret]:
        """Return all that these users have."""


class Knows(Protocol):
    """What is asked of sessions: Sessions."""

    async def of(self, people: Sequence[str]) -> list[Session]:
        """Return the sessions of people, those begun last first."""


class Sources(NamedTuple):
    """Where all of it is."""

    store: People
    sessions: Knows
    messages: Messages
    callbacks: Callbacks
    vault: Vault


class Exporter:
    """Writes down what is kept of people."""

    def __init__(self, sources: Sources, places: Places) -> None:
        self._from = sources
        self._places = places

    async def export(self, person: Person, at: float) -> AsyncIterator[bytes]:
        """Give the document piece by piece, UTF-8; times are ISO 8601. ``at`` is now.

        Raises StoreDown, perhaps in the middle of it.
        """
        yield b'{"exported_at": ' + _json(_time(at)) + b',\n"person": ' + _json(told_person(person))
        for name, found in (
            ("identities", self._identities(person)),
            ("merges", self._merges(person)),
            ("sessions", self._sessions(person)),
            ("secrets", self._secrets(person)),
            ("messages", self._messages(person)),
        ):
            async for piece in _listed(name, found):
                yield piece
        complete: list[bool] = []
        async for piece in _listed("callbacks", self._callbacks(person, complete)):
            yield piece
        yield b',\n"callbacks_complete": ' + _json(all(complete))
        yield b',\n"not_included": ' + _json([*_NOT_HERE, *self._unknown(person)]) + b"}\n"

    async def _identities(self, person: Person) -> AsyncIterator[Any]:
        for one in person.identities:
            yield told_identity(one) | {"accounts": self._places.accounts(one.user.app_id)}

    async def _merges(self, person: Person) -> AsyncIterator[Any]:
        after = 0
        while found := await self._from.store.merges(AT_ONCE, after, person=person.id):
            after = found[-1].number
            for merge in found:
                told = merge._asdict() | {"at": _time(merge.at)}
                yield {**told.pop("user")._asdict(), **told}

    async def _sessions(self, person: Person) -> AsyncIterator[Any]:
        for session in await self._from.sessions.of(ids_of(person)):
            told = msgspec.to_builtins(session)
            # Whoever has it is not signed in by it, but nobody needs it.
            del told["id"]
            yield {name: _time(of) if name.endswith("_at") else of for name, of in told.items()}

    async def _secrets(self, person: Person) -> AsyncIterator[Any]:
        for secret in await self._from.store.secrets(_users(person)):
            yield {
                **secret.user._asdict(),
                "kind": secret.kind,
                "until": _time(secret.until),
                "value": self._opened(secret),
            }

    def _opened(self, secret: Secret) -> Any:
        """Return a phone number; of all else, no more than that it is kept."""
        if secret.kind != PHONE:
            return SEALED
        try:
            opened = self._from.vault.open(secret.sealed, place_of(PHONE, secret.user))
            number = msgspec.json.decode(opened, type=PhoneNumber)
        except (CannotOpen, msgspec.DecodeError):
            return f"{SEALED}; the keys that there are do not open it"
        return msgspec.to_builtins(number)

    async def _messages(self, person: Person) -> AsyncIterator[Any]:
        for account, open_id in self._places.of(_users(person)):
            wanted, after = Wanted(account=account, to=open_id), None
            while found := await self._from.messages.find(wanted, AT_ONCE, after):
                after = found[-1].id
                for record in found:
                    yield _message(record)

    async def _callbacks(self, person: Person, complete: list[bool]) -> AsyncIterator[Any]:
        """Give those there are; note of each place whether these are all."""
        for account, open_id in self._places.of(_users(person)):
            found = await self._from.callbacks.of_user(account, open_id, MOST_CALLBACKS)
            complete.append(len(found) < MOST_CALLBACKS)
            for one in found:
                yield {
                    "account": one.account,
                    "type": one.kind,
                    "received_at": _time(one.received_at),
                    "fields": msgspec.Raw(one.document),
                }

    def _unknown(self, person: Person) -> list[str]:
        return [
            f"Messages and callbacks of app id {app_id}: the settings have no account of it."
            for app_id in self._places.unknown(_users(person))
        ]


def _users(person: Person) -> list[AppUser]:
    return [one.user for one in person.identities]


def told_person(person: Person) -> dict[str, Any]:
    """Return what is known of a person, but for their identities, for JSON."""
    return {
        "id": person.id,
        "union_id": person.union_id,
        "created_at": _time(person.created_at),
        "last_active": _time(person.last_active),
        "tags": person.tags,
        "roles": person.roles,
        "former_ids": person.former_ids,
        "consents": [
            {
                **consent.user._asdict(),
                "template_id": consent.template_id,
                "accepted": consent.accepted,
                "at": _time(consent.at),
            }
            for consent in person.consents
        ],
    }


def told_identity(identity: Identity) -> dict[str, Any]:
    """Return what is known of an open id, for JSON."""
    told = identity._asdict()
    times = ("subscribed_at", "first_seen", "last_active")
    return {**told.pop("user")._asdict(), **told, **{name: _time(told[name]) for name in times}}


def _message(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(record)
    for name in ("created_at", "not_before", "expires_at", "ended_at", "receipt_at"):
        told[name] = _time(told[name])
    told["priority"] = record.priority.name.lower()
    told["attempts"] = [
        {"at": _time(one.at), "seconds": one.seconds, "outcome": one.outcome, "reason": one.reason}
        for one in record.attempts
    ]
    return told


async def _listed(name: str, found: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """Give a member of the document that is a list: a line to a thing."""
    yield b",\n" + _json(name) + b": ["
    between = b"\n"
    async for one in found:
        yield between + _json(one)
        between = b",\n"
    yield b"]"


def _time(seconds: float | None) -> str | None:
    """Return Unix seconds as ISO 8601; None where they are 0, which is never."""
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
