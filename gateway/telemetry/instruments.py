"""What is measured: each instrument's name, unit, labels and meaning.

Names are OpenTelemetry's kind; Prometheus' follow from them by the rules of both projects
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/): dots become
underscores, the unit and, of a counter, ``_total`` are put behind.

No label's value comes from a sender: accounts, lanes and templates are the settings', types,
outcomes and reasons are ours, error codes are those of WeChat's table, or ``other``.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What a number does."""

    COUNTER = "counter"
    """It only grows, from the process's start on."""
    HISTOGRAM = "histogram"
    """Counted by how large each value was."""
    GAUGE = "gauge"
    """It is as it is now."""


class Instrument(NamedTuple):
    """One thing that is measured."""

    name: str
    kind: Kind
    unit: str
    """As UCUM has it: ``s``, ``By``; of things counted, their name in braces."""
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    """A histogram's upper bounds."""

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus, without the ``_total`` of a counter."""
        return self.name.replace(".", "_") + _SUFFIXES.get(self.unit, "")


_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}

_WITHIN_5_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 4.0, 4.5, 5.0),
)
"""Up to the 5 seconds that WeChat waits (PROTOCOL 3)."""

_CALLS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_LATENESS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


def _counter(name: str, unit: str, labels: str, help_: str) -> Instrument:
    return Instrument(name, Kind.COUNTER, f"{{{unit}}}", tuple(labels.split()), help_)


def _gauge(name: str, unit: str, labels: str, help_: str) -> Instrument:
    return Instrument(name, Kind.GAUGE, unit, tuple(labels.split()), help_)


def _histogram(name: str, labels: str, bounds: tuple[float, ...], help_: str) -> Instrument:
    return Instrument(name, Kind.HISTOGRAM, "s", tuple(labels.split()), help_, bounds)


CALLBACKS: Final = _histogram(
    "gateway.callback.duration",
    "account outcome",
    _WITHIN_5_SECONDS,
    "From a callback's arrival to its answer: WeChat waits for 5 s. Outcomes: reply, success, "
    "echo (URL verification), refused, failed (a 500: WeChat tries again), left (a 500 when WeChat "
    "was gone: its next delivery is answered). The account is - where the path names none.",
)
REFUSALS: Final = _counter(
    "gateway.callback.refusals",
    "callback",
    "account reason",
    "Callbacks refused, by reason: signature, timestamp, mode, document and so on.",
)
MESSAGES: Final = _counter(
    "gateway.messages",
    "message",
    "account type",
    "Verified deliveries by what they bring, such as Text or Subscribe; repeats included.",
)
DUPLICATES: Final = _counter(
    "gateway.messages.duplicates",
    "message",
    "account found",
    "Deliveries of messages known already: done (its answer is repeated), in_flight (it waits for "
    "the one under way).",
)
HANDLER_FAILURES: Final = _counter(
    "gateway.handler.failures", "failure", "handler", "Handlers that raised, by name."
)
LATE_REPLIES: Final = _counter(
    "gateway.replies.late",
    "message",
    "account",
    "Messages given up at the deadline: answered with success, their reply to follow, or not.",
)
STORE: Final = _histogram(
    "gateway.store.duration",
    "operation outcome",
    _CALLS,
    "A round trip to a store: commit (a batch of callbacks' steps), take (entries), add, claim and "
    "settle (pushed messages). Outcomes: ok, failed (it was down, mostly).",
)
LANE_DEPTH: Final = _gauge(
    "gateway.lane.depth",
    "{entry}",
    "lane state",
    "Entries in a lane: waiting (may be taken now), delayed (their time has not come), held.",
)
LANE_AGE: Final = _gauge(
    "gateway.lane.age", "s", "lane", "Since the oldest entry of a lane was stored; 0 if empty."
)
ENTRIES: Final = _histogram(
    "gateway.lane.lateness",
    "lane outcome",
    _LATENESS,
    "From an entry's storing to its end: how late things are. Outcomes: done, dead.",
)
LANE_RETRIES: Final = _counter(
    "gateway.lane.retries", "entry", "lane", "Entries put back behind a failure, to be tried again."
)
DEAD_LETTERS: Final = _gauge(
    "gateway.dead_letters",
    "{letter}",
    "kind",
    "Dead letters that wait for a person: inbound (entries), push (dead and ambiguous messages).",
)
PUSH_QUEUED: Final = _counter(
    "gateway.push.queued", "message", "account channel", "Messages queued to be pushed."
)
PUSH_DEPTH: Final = _gauge(
    "gateway.push.depth",
    "{message}",
    "account channel state",
    "Messages to be pushed: waiting (may be sent now), retrying (those of them that were tried "
    "before), delayed, sending.",
)
PUSH_AGE: Final = _gauge(
    "gateway.push.age",
    "s",
    "account channel",
    "How long the oldest message that may be sent now has been waiting since it first might have.",
)
PUSH_ATTEMPTS: Final = _counter(
    "gateway.push.attempts",
    "attempt",
    "account channel outcome errcode",
    "Attempts to send, by what follows: sent, retry, defer, failed, expired, dead, ambiguous; with "
    "WeChat's error code, 0 for none, - where it did not answer.",
)
PUSH_LATENESS: Final = _histogram(
    "gateway.push.lateness",
    "account channel",
    _LATENESS,
    "From when a message might be sent to when WeChat took it.",
)
RECEIPTS: Final = _counter(
    "gateway.push.receipts",
    "receipt",
    "account channel state",
    "Receipts joined to their messages: delivered, failed.",
)
API_CALLS: Final = _histogram(
    "gateway.api.duration",
    "account endpoint outcome",
    _CALLS,
    "A call of WeChat's API. Outcomes: ok, rejected (an error code), token (the token was dead), "
    "unanswered, not_sent. Endpoints that the gateway has no name for are other.",
)
API_ERRORS: Final = _counter(
    "gateway.api.errors",
    "call",
    "account endpoint errcode",
    "Calls that WeChat answered with an error code; codes that its table lacks are other.",
)
TOKEN_AGE: Final = _gauge(
    "gateway.token.age", "s", "account", "Since the account's access token was fetched."
)
TOKEN_LEFT: Final = _gauge(
    "gateway.token.remaining", "s", "account", "Until the account's access token expires."
)
TOKEN_REFRESHES: Final = _counter(
    "gateway.token.refreshes", "refresh", "account outcome", "Tokens fetched: ok, failed."
)
QUOTA_LEFT: Final = _gauge(
    "gateway.quota.remaining",
    "{call}",
    "account endpoint",
    "Calls left today, as WeChat tells (telemetry.quota_seconds).",
)
PAUSED: Final = _gauge(
    "gateway.push.paused",
    "s",
    "account channel",
    "For how much longer nothing is sent: WeChat told of a limit, or a breaker is open.",
)
SINK_EVENTS: Final = _counter(
    "gateway.sink.events",
    "event",
    "sink outcome",
    "Events for a sink: ok (it took them), failed (they are tried again, or become dead letters).",
)
SIGN_INS: Final = _counter(
    "gateway.sign_ins", "sign-in", "account outcome", "Users signed in: ok, refused."
)
VERIFICATIONS: Final = _counter(
    "gateway.session.verifications",
    "request",
    "outcome",
    "Answers of /session/verify: ok, none (no session), forbidden, failed (a store was down).",
)
SPILL_AGE: Final = _gauge(
    "gateway.spill.age",
    "s",
    "",
    "Since the oldest message was kept on the gateway's own disk, for its store was down; 0: none.",
)
SPILLED: Final = _counter(
    "gateway.spill.messages", "message", "", "Messages kept on disk because the store was down."
)
LOOP_LAG: Final = _histogram(
    "gateway.loop.lag", "", _WITHIN_5_SECONDS, "How much later than asked for the event loop ran."
)
SPANS: Final = _counter(
    "gateway.telemetry.spans",
    "span",
    "outcome",
    "Spans of traces: exported, failed (the collector did not take them), dropped (the queue was "
    "full).",
)
EXPORTS: Final = _counter(
    "gateway.telemetry.exports",
    "export",
    "outcome",
    "Exports of metrics to a collector: exported, failed (it did not take them).",
)
GAUGE_FAILURES: Final = _counter(
    "gateway.telemetry.unread",
    "failure",
    "component",
    "Looks at what was not well, or did not answer, by what was looked at: store, dead_letters, "
    "push, push_pauses, migrations, token, quota. What it tells may be missing.",
)
INFO: Final = _gauge(
    "gateway.info", "{gateway}", "version kernels store", "1; what runs: version, kernels, store."
)
ALL: Final = tuple(value for value in globals().values() if isinstance(value, Instrument))
"""Every instrument, in the order in which documents list them."""
