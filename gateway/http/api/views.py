"""What the API answers: the shapes of its JSON."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.http.api.problems import FieldError
from gateway.outbound.jobs import Channel, Priority, Record, State


class Attempt(msgspec.Struct, frozen=True):
    """One try to send a message."""

    at: float
    """Unix seconds, as all times here."""
    seconds: float
    """How long it took."""
    outcome: str
    reason: str


class Message(msgspec.Struct, frozen=True):
    """What became of a message; never what it says."""

    id: str
    account: str
    channel: Channel
    template: str
    to: str
    """The open id; empty for a mass message."""
    state: State
    reason: str
    priority: str
    """high, normal or low."""
    created_at: float
    not_before: float
    expires_at: float | None
    batch: str | None
    idempotency_key: str | None
    tries: int
    attempts: tuple[Attempt, ...]
    message_id: str | None
    """WeChat's number of it."""
    ended_at: float | None
    """When it was sent or given up."""
    receipt_at: float | None
    trace_id: str
    """The trace in which it was queued, 32 hex digits; empty where that is none."""


class Messages(msgspec.Struct, frozen=True):
    """A page of messages, newest first."""

    messages: tuple[Message, ...]
    next: str | None
    """What goes into ``after`` for the next page; null behind the last."""


class Queued(msgspec.Struct, frozen=True):
    """A message that is stored."""

    id: str
    state: State
    is_new: bool
    """Whether it was not stored before, under the same idempotency key."""


class OneOfMany(msgspec.Struct, frozen=True):
    """A message that is stored, as one alone is told of; or what is wrong with it."""

    id: str | UnsetType = UNSET
    """Where it is not stored: the message that has its idempotency key."""
    state: State | UnsetType = UNSET
    is_new: bool | UnsetType = UNSET
    errors: tuple[FieldError, ...] | UnsetType = UNSET


class Many(msgspec.Struct, frozen=True):
    """What became of each of many messages, in their order."""

    queued: int
    known: int
    """How many were stored before."""
    refused: int
    messages: tuple[OneOfMany, ...]


class RefusedLine(msgspec.Struct, frozen=True):
    """A line of a batch that is not stored."""

    line: int
    """From 1; a CSV's header counts."""
    errors: tuple[FieldError, ...]


class BatchTaken(msgspec.Struct, frozen=True):
    """What became of a batch's lines."""

    batch: str
    queued: int
    known: int
    """Lines that were stored before."""
    refused: int
    refused_lines: tuple[RefusedLine, ...]
    """The first 1,000 of them."""
    more_refused: int
    """How many there are beside those."""


class BatchStands(msgspec.Struct, frozen=True):
    """How many messages of a batch are in each state."""

    batch: str
    messages: int
    states: dict[State, int]


class Outcome(msgspec.Struct, frozen=True):
    """How many messages of a template and a day are in a state."""

    day: str
    """On which they were created, in Beijing: 2026-11-26."""
    account: str
    template: str
    """Of messages without one, the channel."""
    state: State
    messages: int


class Outcomes(msgspec.Struct, frozen=True):
    """Counts of messages."""

    outcomes: tuple[Outcome, ...]


class Waiting(msgspec.Struct, frozen=True):
    """How a channel of an account stands that has something waiting."""

    account: str
    channel: Channel
    waiting: int
    """Messages that may be sent now."""
    retrying: int
    """Those of them that were tried before."""
    delayed: int
    """Messages whose time has not come."""
    sending: int
    oldest: float
    """Seconds since the oldest that may be sent now might have been."""


class Backlog(msgspec.Struct, frozen=True):
    """What waits."""

    backlog: tuple[Waiting, ...]


class TemplateField(msgspec.Struct, frozen=True):
    """A field of a template, in any of its languages."""

    name: str
    """Such as thing1."""
    kind: str | None
    """What its name begins with, which says what WeChat takes; null where it tells nothing."""
    limit: int | None
    """Characters at most."""


class Template(msgspec.Struct, frozen=True):
    """A template of messages."""

    name: str
    channel: Channel
    template_id: str
    """The platform's."""
    languages: tuple[str, ...]
    """The default one first."""
    fields: tuple[TemplateField, ...]
    source: Literal["file", "api"]
    """Where it comes from: a file of push.templates, which cannot be changed here, or the API."""


class TemplateList(msgspec.Struct, frozen=True):
    """All templates, by name."""

    templates: tuple[Template, ...]


class Acted(msgspec.Struct, frozen=True):
    """What an action came to."""

    matched: int
    done: int
    """Fewer where others were quicker; 0 where it was a dry run."""


def shown(record: Record) -> Message:
    """Return a record as it is told."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    fields["priority"] = Priority(record.priority).name.lower()
    fields["attempts"] = tuple(
        Attempt(one.at, one.seconds, one.outcome, one.reason) for one in record.attempts
    )
    return Message(**fields)
