"""What is pushed, as a job: durable before its caller is told so, and ended in one state."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from gateway.outbound.endpoints import messages
from gateway.telemetry.tracing import trace_id_of


class Channel(StrEnum):
    """How a message reaches its user."""

    TEMPLATE = "template"
    """模板消息: POST /cgi-bin/message/template/send."""
    NOTICE = "notice"
    """订阅通知: POST /cgi-bin/message/subscribe/bizsend."""
    MINI_PROGRAM = "mini_program"
    """A mini program's 订阅消息: POST /cgi-bin/message/subscribe/send."""
    CUSTOM = "custom"
    """客服消息: POST /cgi-bin/message/custom/send."""
    MASS = "mass"
    """群发: POST /cgi-bin/message/mass/sendall, or mass/send by open ids."""


PATHS: Final = {
    Channel.TEMPLATE: messages.TEMPLATE,
    Channel.NOTICE: messages.BIZSEND,
    Channel.MINI_PROGRAM: messages.MINI_PROGRAM,
    Channel.CUSTOM: messages.CUSTOM,
}

KEEPS_APART: Final = {Channel.TEMPLATE: 600.0, Channel.MASS: 86_400.0}
"""For how many seconds WeChat keeps repeats of one message apart, by client_msg_id (PROTOCOL 7.2);
on the other channels a repetition may arrive twice."""

HAVE_RECEIPTS: Final = frozenset(
    (Channel.TEMPLATE, Channel.NOTICE, Channel.MINI_PROGRAM, Channel.MASS)
)
"""Whose messages end in a receipt; of the others all that is known is that WeChat took them."""


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """It waits to be sent, for the first time or again."""
    SENDING = "sending"
    """A worker has it."""
    SENT = "sent"
    """WeChat took it; its receipt has not come, or there is none on its channel."""
    DELIVERED = "delivered"
    """Its receipt says so."""
    FAILED = "failed"
    """No repetition can succeed: WeChat refused it, or its receipt says that it did not arrive."""
    EXPIRED = "expired"
    """It would have come too late."""
    DEAD = "dead"
    """A dead letter: it was tried as often as it may be, or the account is not set up for it."""
    AMBIGUOUS = "ambiguous"
    """A dead letter that may have been sent: a person decides."""
    CANCELLED = "cancelled"
    """Somebody cancelled it before it was sent."""


DEAD_LETTERS: Final = (State.DEAD, State.AMBIGUOUS)
UNSENT: Final = (*DEAD_LETTERS, State.FAILED, State.EXPIRED, State.CANCELLED)
"""What may be retried: what it says is still kept."""


class Priority(IntEnum):
    """Which jobs of an account and channel go first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Lane(IntEnum):
    """First attempts and retries wait apart, so that the latter never hold up the former."""

    FIRST = 0
    RETRY = 1


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One try to send a job."""

    at: float
    """Unix seconds."""
    seconds: float
    """How long it took."""
    outcome: str
    """``sent``, or what was decided: retry, defer, failed, expired, dead, ambiguous."""
    reason: str = ""


class Job(NamedTuple):
    """A message to one user, as it is queued."""

    id: str
    account: str
    channel: Channel
    open_id: str
    """Empty for a mass message."""
    template: str
    """The template's name; empty where there is none."""
    template_id: str
    """The platform's, by which the receipt of a notice is known."""
    path: str
    """The endpoint's."""
    body: bytes
    """What is sent, as JSON."""
    created_at: float
    """Unix seconds, as all times here."""
    priority: Priority = Priority.NORMAL
    not_before: float = 0.0
    expires_at: float | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    """Tells one request from another that has the same idempotency key."""
    batch: str | None = None
    trace: str = ""
    """What it was queued in, as ``Link`` writes it; empty where that is no trace."""


class Held(NamedTuple):
    """A job that a worker has, with what is behind it."""

    id: str
    account: str
    channel: Channel
    path: str
    body: bytes
    created_at: float
    expires_at: float | None
    lane: Lane
    tries: int
    """Attempts that count."""
    maybe_sent_at: float | None
    """When it was tried for the first time by an attempt that nobody knows the end of."""
    attempts: tuple[Attempt, ...]
    not_before: float = 0.0
    trace: str = ""

    def log_fields(self) -> Mapping[str, str]:
        """Return what stands on each log line that is written while it is sent."""
        ids = {"account": self.account, "job_id": self.id}
        return {**ids, "trace_id": trace_id_of(self.trace)} if self.trace else ids


class Settled(NamedTuple):
    """What became of a job that a worker had."""

    id: str
    state: State
    """QUEUED where it waits for another attempt."""
    at: float
    reason: str
    tries: int
    maybe_sent_at: float | None
    attempts: tuple[Attempt, ...]
    due: float = 0.0
    """When it may be sent again, where it is queued."""
    lane: Lane = Lane.RETRY
    message_id: str | None = None
    """WeChat's number of the message, where its answer has one."""


class Added(NamedTuple):
    """What came of the wish to store a job."""

    id: str
    """Its own, or that of the job that has the same idempotency key."""
    is_new: bool
    is_same: bool = True
    """Whether that other job is the same request."""


class Ask(NamedTuple):
    """How many jobs of an account and channel are wanted."""

    account: str
    channel: Channel
    limit: int
    retries: int
    """Of these, how many at most that were tried before; they come first."""


class Receipt(NamedTuple):
    """What an event tells of a message that was sent."""

    account: str
    channel: Channel
    open_id: str
    message_id: str
    template_id: str
    """Empty where the event does not tell."""
    state: State
    """DELIVERED or FAILED."""
    reason: str
    at: float


class Record(msgspec.Struct, frozen=True):
    """A job as it is told to whoever asks; never what it says."""

    id: str
    account: str
    channel: Channel
    template: str
    to: str
    """The open id."""
    state: State
    reason: str
    priority: Priority
    created_at: float
    not_before: float
    expires_at: float | None
    batch: str | None
    idempotency_key: str | None
    tries: int
    attempts: tuple[Attempt, ...]
    message_id: str | None
    ended_at: float | None
    """When it was sent or given up."""
    receipt_at: float | None
    trace_id: str = ""
    """The trace in which it was queued: that of the message whose handler did; or empty."""


class Closed(NamedTuple):
    """A job that a receipt is about."""

    id: str
    trace: str


class Wanted(NamedTuple):
    """Which jobs are meant; what is None does not matter."""

    ids: tuple[str, ...] | None = None
    states: tuple[State, ...] | None = None
    account: str | None = None
    channel: Channel | None = None
    template: str | None = None
    to: str | None = None
    batch: str | None = None
    trace: str | None = None
    """The id of a trace."""
    reason: str | None = None
    """How the reason begins."""
    since: float | None = None
    """Created at this time or later."""
    before: float | None = None


class Outcome(NamedTuple):
    """How many jobs of a template and a day are in a state."""

    day: str
    """On which it was created, in Beijing, where the platform's days begin: 2026-11-26."""
    account: str
    template: str
    """Of messages without one, the channel."""
    state: State
    jobs: int


class Backlog(NamedTuple):
    """How an account's channel stands."""

    account: str
    channel: Channel
    waiting: int
    """Jobs that may be sent now."""
    retrying: int
    """Those of them that were tried before."""
    delayed: int
    """Jobs whose time has not come."""
    sending: int
    oldest: float
    """Seconds since the oldest that may be sent now might have been; 0 where there is none."""


class _Sent(msgspec.Struct):
    touser: str | list[str] = ""


_sent = msgspec.json.Decoder(_Sent)


def recipient(body: bytes) -> str:
    """Return the open id that a job's body is for; empty where that is not one user."""
    try:
        touser = _sent.decode(body).touser
    except msgspec.DecodeError:
        return ""
    return touser if isinstance(touser, str) else ""


def job_id(now: float, random: bytes) -> str:
    """Return an id that later ones come behind: a UUID of version 7 (RFC 9562).

    ``now`` in Unix seconds; ``random`` are 10 bytes.
    """
    value = int(now * 1000) << 80 | int.from_bytes(random)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(UUID(int=value))


def first_id_at(moment: float) -> str:
    """Return the least id of a job of this moment, Unix seconds."""
    return str(UUID(int=max(0, int(moment * 1000)) << 80))
