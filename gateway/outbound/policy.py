"""What becomes of a job after an attempt: a pure function, its clock and its chance given to it.

An outcome is a class, not a yes or no: what was throttled waits for the reset and counts as no
attempt, what nobody knows the end of is repeated only where the platform itself keeps repeats
apart, and all else that may pass is tried again after a random pause, so many times and so long.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from gateway.backoff import full_jitter
from gateway.errors import (
    AccountRejected,
    ApiError,
    Busy,
    NotSent,
    Rejected,
    Throttled,
    TokenRejected,
    TokenUnavailable,
    Unanswered,
)
from gateway.protocol.errcodes import errcode

DAY: Final = 86_400.0
BEIJING: Final = 8 * 3600.0
"""Quotas begin anew at midnight there (PROTOCOL 7.7)."""

MARGIN_SECONDS: Final = 30.0
"""How much earlier than WeChat may the last repetition goes out: it has to arrive, too."""

_RESETS: Final = {45011: 60.0, 45066: 60.0, 42010: 60.0, 43116: 3600.0, 45028: 3600.0}
_PAUSES: Final = {89507: 3600.0, 89506: DAY, 48006: DAY}
_USED_UP: Final = 45009
_USER_USED_UP: Final = 45047
"""Customer service has no message left for this user, until they write again."""


class Verdict(StrEnum):
    """What is to be done with a job."""

    RETRY = "retry"
    """It is tried again, and the attempt counts."""
    DEFER = "defer"
    """It is tried again, and the attempt does not count: it was no fault of the job's."""
    FAILED = "failed"
    """It ends: no repetition can succeed."""
    EXPIRED = "expired"
    """It ends: it would come too late."""
    DEAD = "dead"
    """It ends for now, as a dead letter: a person may mend something, and retry it."""
    AMBIGUOUS = "ambiguous"
    """It is parked for a person: it may have been sent."""


class Decision(NamedTuple):
    """What is to be done, when, and why."""

    verdict: Verdict
    at: float
    """Unix seconds, for RETRY and DEFER."""
    reason: str
    """A code, and what a person wants to know; never what a user is called or was told."""
    whole_account: bool = False
    """Whether all jobs of the account and API wait for that time."""


class Tried(NamedTuple):
    """What a job has behind it."""

    attempts: int
    """Those that count, this one included."""
    maybe_sent_at: float | None
    """When the first attempt began that nobody knows the end of, Unix seconds."""
    created_at: float
    expires_at: float | None
    apart: float
    """For how many seconds from then WeChat keeps repeats of it apart; 0: not at all."""


class Terms(NamedTuple):
    """How often and for how long a job is tried."""

    max_attempts: int = 8
    base: float = 1.0
    """Seconds; the pause before the n-th retry is random, up to this times 2 to the n-1."""
    cap: float = 300.0
    max_age: float = DAY
    """Seconds after which what failed is not tried again."""


def before_sending(tried: Tried, now: float) -> Decision | None:
    """Return what becomes of a job that is not to be sent any more; None for one that is."""
    if tried.expires_at is not None and now >= tried.expires_at:
        return _ended(Verdict.EXPIRED, tried, "expired: its time ran out before it was sent")
    if _would_repeat(tried, now):
        return Decision(Verdict.AMBIGUOUS, 0.0, "unanswered: too long ago to be repeated")
    return None


def next_step(
    error: ApiError, tried: Tried, terms: Terms, now: float, draw: float, hint: float = 0.0
) -> Decision:
    """Return what becomes of a job whose attempt ended in this error.

    ``draw`` is in [0, 1); ``hint`` is what the server asked to wait, in seconds: never less.
    """
    reason = reason_of(error)
    if isinstance(error, Throttled) and error.code != _USER_USED_UP:
        until = throttled_until(error.code, now)
        # The others wait until then, also where this one ends.
        decided = _bounded(Verdict.DEFER, tried, terms, now, until, reason)
        return decided._replace(at=until, whole_account=True)
    if isinstance(error, AccountRejected):
        # Until an operator mends something no repetition can succeed.
        return _ended(Verdict.DEAD, tried, reason)
    if isinstance(error, Busy | NotSent | Unanswered | TokenRejected | TokenUnavailable):
        return _again(tried, terms, now, draw, hint, reason)
    return Decision(Verdict.FAILED, 0.0, reason)


def reason_of(error: ApiError) -> str:
    """Return what is told of an error: a code, and for WeChat's own what it means."""
    if not isinstance(error, Rejected):
        return type(error).__name__.lower()
    known = errcode(error.code)
    if known is None:
        return f"unknown: {error.code} {error.said}"
    return f"{known.error_class}: {error.code} {known.meaning}"


def throttled_until(code: int, now: float) -> float:
    """Return when a limit ends, in Unix seconds: the day's at midnight in Beijing."""
    if code in _PAUSES:
        return now + _PAUSES[code]
    period = DAY if code == _USED_UP else _RESETS.get(code, 60.0)
    shift = BEIJING if code == _USED_UP else 0.0
    return ((now + shift) // period + 1) * period - shift


def _again(
    tried: Tried, terms: Terms, now: float, draw: float, hint: float, reason: str
) -> Decision:
    if tried.attempts >= terms.max_attempts:
        return _ended(Verdict.DEAD, tried, reason)
    pause = full_jitter(tried.attempts, terms.base, terms.cap, draw)
    return _bounded(Verdict.RETRY, tried, terms, now, now + max(hint, 0.0) + pause, reason)


def _bounded(
    verdict: Verdict, tried: Tried, terms: Terms, now: float, at: float, reason: str
) -> Decision:
    """Return the verdict, unless its time is too late."""
    if tried.expires_at is not None and at >= tried.expires_at:
        return _ended(Verdict.EXPIRED, tried, reason)
    # What waits for a quota has not failed, however old it is.
    if verdict is Verdict.RETRY and now >= tried.created_at + terms.max_age:
        return _ended(Verdict.DEAD, tried, reason)
    if _would_repeat(tried, at):
        return _ended(verdict, tried, reason)
    return Decision(verdict, at, reason)


def _ended(verdict: Verdict, tried: Tried, reason: str) -> Decision:
    """Return the verdict for a job that is not tried again; it may have been sent before."""
    if tried.maybe_sent_at is not None:
        return Decision(Verdict.AMBIGUOUS, 0.0, reason)
    return Decision(verdict, 0.0, reason)


def _would_repeat(tried: Tried, at: float) -> bool:
    """Tell whether a user who has it already would get it again at that time."""
    if tried.maybe_sent_at is None:
        return False
    return at >= tried.maybe_sent_at + tried.apart - MARGIN_SECONDS
