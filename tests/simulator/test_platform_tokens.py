"""The simulated platform's tokens and quotas, by the platform's rules (PROTOCOL 7.1 and 7.7)."""

from collections.abc import Iterator
from itertools import count

import pytest

from gateway.simulator.api.faults import ApiFault, Faults
from gateway.simulator.api.quotas import DAILY, Quota, Quotas
from gateway.simulator.api.tokens import AccountTokens


class Clock:
    """Unix seconds that stand still until a test moves them."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> AccountTokens:
    """An account's tokens."""
    numbers = count(1)
    return AccountTokens(clock, lambda: f"token{next(numbers)}")


def stable(tokens: AccountTokens, *, force: bool = False) -> tuple[str, int]:
    """Return a stable token, which must be had."""
    given = tokens.stable(force=force)
    assert isinstance(given, tuple)
    return given


def test_each_plain_token_is_new_and_the_one_before_holds_for_5_more_minutes(
    clock: Clock, tokens: AccountTokens
) -> None:
    first, seconds = tokens.plain()
    second, _ = tokens.plain()
    assert (first != second, seconds) == (True, 7200)
    clock.now += 299
    assert (tokens.check(first), tokens.check(second)) == (0, 0)
    clock.now += 1
    assert (tokens.check(first), tokens.check(second)) == (42001, 0)
    clock.now += 7200
    assert tokens.check(second) == 42001


def test_a_stable_token_is_the_same_for_whoever_asks_until_5_minutes_before_its_end(
    clock: Clock, tokens: AccountTokens
) -> None:
    first, seconds = stable(tokens)
    assert seconds == 7200
    clock.now += 6899
    assert stable(tokens) == (first, 301)
    clock.now += 1
    second, seconds = stable(tokens)
    assert (second != first, seconds) == (True, 7200)
    # Both hold in the overlap.
    assert (tokens.check(first), tokens.check(second)) == (0, 0)
    clock.now += 300
    assert (tokens.check(first), tokens.check(second)) == (42001, 0)


def test_the_two_kinds_leave_each_other_alone(tokens: AccountTokens) -> None:
    kept, _ = stable(tokens)
    tokens.plain()
    tokens.plain()
    assert tokens.check(kept) == 0


def test_a_forced_token_ends_the_old_one_at_once_20_times_a_day_30_seconds_apart(
    clock: Clock, tokens: AccountTokens
) -> None:
    old, _ = stable(tokens)
    new, _ = stable(tokens, force=True)
    assert (tokens.check(old), tokens.check(new)) == (40001, 0)
    assert tokens.stable(force=True) == 45011
    for _ in range(19):
        clock.now += 30
        stable(tokens, force=True)
    clock.now += 30
    assert tokens.stable(force=True) == 45009
    clock.now += 86_400
    stable(tokens, force=True)


def test_what_is_no_token_of_the_accounts_is_refused(tokens: AccountTokens) -> None:
    assert tokens.check("") == 41001
    assert tokens.check("somebody's") == 40001
    kept, _ = stable(tokens)
    tokens.kill()
    assert tokens.check(kept) == 40001
    assert stable(tokens)[0] != kept


def test_a_quota_ends_at_midnight_in_beijing(clock: Clock) -> None:
    quotas = Quotas(clock, {"/x": Quota(2)})
    # 2026-09-21 23:59:50 there.
    clock.now = 1_789_948_800.0 + 16 * 3600 - 10 - 86_400
    assert [quotas.take("/x") for _ in range(3)] == [0, 0, 45009]
    clock.now += 11
    assert quotas.take("/x") == 0
    assert (quotas.used("/x"), quotas.take("/unlimited")) == (1, 0)


def test_a_minutes_quota_ends_with_the_minute(clock: Clock) -> None:
    quotas = Quotas(clock, {"/x": Quota(100, 2)})
    clock.now = 1_790_000_040.0
    assert [quotas.take("/x") for _ in range(3)] == [0, 0, 45011]
    clock.now += 60
    assert quotas.take("/x") == 0
    quotas.clear()
    assert quotas.used("/x") == 0
    assert DAILY["/cgi-bin/message/template/send"].daily == 100_000


def test_faults_come_at_their_rates() -> None:
    drawn: Iterator[float] = iter([0.05, 0.15, 0.25, 0.95])
    faults = Faults(lambda: next(drawn))
    assert faults.draw() is None
    faults.rates = {ApiFault.BUSY: 0.1, ApiFault.HALF: 0.1}
    assert [faults.draw() for _ in range(4)] == [ApiFault.BUSY, ApiFault.HALF, None, None]
