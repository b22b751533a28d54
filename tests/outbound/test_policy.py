"""What becomes of a job after an attempt: every error, and the bounds of time and of attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ApiError, NotSent, TokenUnavailable, Unanswered
from gateway.outbound.failures import rejection
from gateway.outbound.policy import (
    DAY,
    MARGIN_SECONDS,
    Decision,
    Terms,
    Tried,
    Verdict,
    before_sending,
    next_step,
    reason_of,
    throttled_until,
)

NOW = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC, 22:13:20 in Beijing."""

TERMS = Terms(max_attempts=8, base=1.0, cap=300.0, max_age=DAY)
FRESH = Tried(1, None, NOW, None, apart=0.0)
UNSURE = FRESH._replace(maybe_sent_at=NOW)
APART = UNSURE._replace(apart=600.0)

CODES = [-1, 40001, 40003, 40013, 42001, 43004, 45009, 45011, 45047, 47003, 48001, 999_999]
ERRORS: list[ApiError] = [
    *(rejection("/x", code, "said") for code in CODES),
    NotSent("/x: no connection"),
    Unanswered("/x: no answer"),
    TokenUnavailable("no token"),
]


def step(error: ApiError, tried: Tried = FRESH, **more: float) -> Decision:
    """Return what becomes of a job."""
    return next_step(error, tried, TERMS, NOW, more.get("draw", 0.5), more.get("hint", 0.0))


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (-1, Verdict.RETRY),
        (40001, Verdict.RETRY),
        (42001, Verdict.RETRY),
        (45009, Verdict.DEFER),
        (45011, Verdict.DEFER),
        (40003, Verdict.FAILED),
        (43004, Verdict.FAILED),
        (43101, Verdict.FAILED),
        (45047, Verdict.FAILED),
        (47003, Verdict.FAILED),
        (999_999, Verdict.FAILED),
        (40013, Verdict.DEAD),
        (48001, Verdict.DEAD),
    ],
)
def test_an_errcode_is_dealt_with_by_its_class(code: int, verdict: Verdict) -> None:
    assert step(rejection("/x", code, "said")).verdict is verdict


def test_what_did_not_arrive_is_tried_again_and_what_may_have_arrived_is_not() -> None:
    assert step(NotSent("/x")).verdict is Verdict.RETRY
    assert step(Unanswered("/x"), UNSURE).verdict is Verdict.AMBIGUOUS
    assert step(Unanswered("/x"), APART).verdict is Verdict.RETRY
    # Behind the window in which WeChat keeps repeats apart, it would arrive twice.
    late = APART._replace(maybe_sent_at=NOW - APART.apart + MARGIN_SECONDS)
    assert step(Unanswered("/x"), late).verdict is Verdict.AMBIGUOUS


def test_what_may_have_arrived_once_is_repeated_within_that_window_whatever_comes_later() -> None:
    busy = rejection("/x", -1, "said")
    assert step(busy, UNSURE).verdict is Verdict.AMBIGUOUS
    assert step(busy, APART).verdict is Verdict.RETRY
    assert step(busy, APART, hint=APART.apart).verdict is Verdict.AMBIGUOUS
    # The day's quota is used up until midnight: that job does not wait for it, the others do.
    used_up = step(rejection("/x", 45009, "said"), APART)
    assert (used_up.verdict, used_up.whole_account) == (Verdict.AMBIGUOUS, True)
    assert used_up.at > NOW
    late = APART._replace(maybe_sent_at=NOW - APART.apart)
    assert (decided := before_sending(late, NOW))
    assert decided.verdict is Verdict.AMBIGUOUS
    assert before_sending(APART, NOW) is None


def test_what_ends_and_may_have_arrived_is_left_to_a_person() -> None:
    last = APART._replace(attempts=TERMS.max_attempts)
    assert step(Unanswered("/x"), last).verdict is Verdict.AMBIGUOUS
    assert step(NotSent("/x"), last).verdict is Verdict.AMBIGUOUS
    assert step(NotSent("/x"), last._replace(maybe_sent_at=None)).verdict is Verdict.DEAD
    assert step(rejection("/x", 48001, "said"), APART).verdict is Verdict.AMBIGUOUS
    # WeChat's refusal for this user is an end of its own.
    assert step(rejection("/x", 43004, "said"), APART).verdict is Verdict.FAILED


def test_what_would_come_too_late_is_not_sent() -> None:
    soon = FRESH._replace(expires_at=NOW + 1)
    assert before_sending(soon, NOW) is None
    assert (decided := before_sending(soon, NOW + 1))
    assert decided.verdict is Verdict.EXPIRED


def test_a_days_quota_is_waited_for_until_midnight_in_beijing() -> None:
    decided = step(rejection("/x", 45009, "said"))
    assert decided.whole_account
    assert decided.at == NOW + (24 - 22) * 3600 - 13 * 60 - 20
    assert throttled_until(45011, NOW) == NOW + 40
    assert throttled_until(89507, NOW) == NOW + 3600
    # Whoever is at midnight waits for the next one.
    assert throttled_until(45009, decided.at) == decided.at + DAY


def test_waiting_for_a_quota_counts_as_no_attempt_and_can_take_longer_than_the_attempts() -> None:
    tired = FRESH._replace(attempts=TERMS.max_attempts)
    assert step(rejection("/x", 45009, "said"), tired).verdict is Verdict.DEFER


def test_a_message_that_would_come_too_late_expires() -> None:
    soon = FRESH._replace(expires_at=NOW + 60)
    assert step(rejection("/x", 45009, "said"), soon).verdict is Verdict.EXPIRED
    assert step(NotSent("/x"), soon).verdict is Verdict.RETRY
    assert step(NotSent("/x"), soon, hint=60.0).verdict is Verdict.EXPIRED


def test_what_is_too_old_is_a_dead_letter() -> None:
    old = FRESH._replace(created_at=NOW - DAY)
    assert step(NotSent("/x"), old).verdict is Verdict.DEAD
    # What waits for the day's quota may wait for days: a backlog has not failed.
    assert step(rejection("/x", 45009, "said"), old).verdict is Verdict.DEFER


def test_the_servers_hint_is_a_floor() -> None:
    assert step(NotSent("/x"), draw=0.0, hint=30.0).at == NOW + 30
    assert step(NotSent("/x"), draw=0.0).at == NOW


@given(
    error=st.sampled_from(ERRORS),
    attempts=st.integers(1, 20),
    first=st.floats(0, 2 * DAY),
    waited=st.floats(0, DAY),
    lives=st.none() | st.floats(0, 3 * DAY),
    unsure=st.none() | st.floats(0, 2 * DAY),
    apart=st.sampled_from([0.0, 600.0, DAY]),
    draw=st.floats(0, 1, exclude_max=True),
    hint=st.floats(0, 1000),
)
def test_every_outcome_ends_or_goes_on_within_its_bounds(
    *,
    error: ApiError,
    attempts: int,
    first: float,
    waited: float,
    lives: float | None,
    unsure: float | None,
    apart: float,
    draw: float,
    hint: float,
) -> None:
    expires = None if lives is None else NOW + lives
    maybe = None if unsure is None else NOW - unsure
    if isinstance(error, Unanswered) and maybe is None:
        maybe = NOW - 1
    tried = Tried(attempts, maybe, NOW - first - waited, expires, apart)
    decided = next_step(error, tried, TERMS, NOW, draw, hint)
    assert decided.reason
    if decided.verdict in (Verdict.RETRY, Verdict.DEFER):
        assert decided.at >= NOW
        assert expires is None or decided.at < expires
        assert maybe is None or decided.at < maybe + apart
    if decided.verdict is Verdict.RETRY:
        assert tried.created_at + TERMS.max_age > NOW
        assert attempts < TERMS.max_attempts
        assert decided.at <= NOW + hint + TERMS.cap


def test_a_reason_tells_class_and_code_and_nothing_that_was_sent() -> None:
    assert reason_of(rejection("/x", 43004, "require subscribe rid: 0-0")).startswith("user: 43004")
    assert reason_of(rejection("/x", 47003, "argument invalid!")).startswith("request: 47003")
    assert reason_of(Unanswered("/x: secret words")) == "unanswered"
