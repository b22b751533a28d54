"""How many sends may begin now: GCRA, by properties and by examples."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.budgets import TICK, Budget, Grant, Rate, Want, give_back, grant, take

NOW: Final = 1_790_000_000.0

STEP: Final = 2.5e-7
"""Seconds between two floats that are Unix times, generously."""

rates = st.builds(Rate, st.floats(1 / 86_400, 10_000), st.integers(1, 2_000))
waits = st.floats(0, 0.01) | st.floats(0, 10) | st.floats(0, 1e6)
asked = st.lists(st.tuples(waits, st.integers(0, 3_000)), min_size=1, max_size=40)


def times(asked: list[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    """Yield when so many are wanted, and how many."""
    now = NOW
    for waited, wanted in asked:
        now += waited
        yield now, wanted


def near(seconds: float) -> Any:
    """Return what equals these seconds, but for what clocks do not tell apart."""
    return pytest.approx(seconds, rel=0, abs=4 * TICK)


def test_a_full_budget_grants_its_burst_at_once_and_then_one_by_one() -> None:
    rate = Rate(10.0, 5)
    tat, granted, wait = take(0.0, NOW, 8, rate)
    assert (granted, wait) == (5, near(0.1))
    assert take(tat, NOW + 0.05, 1, rate)[1:] == (0, near(0.05))
    assert take(tat, NOW + 0.1, 8, rate)[1:] == (1, near(0.1))
    assert take(tat, NOW + 0.25, 2, rate)[1:] == (2, 0.0)
    assert take(tat, NOW + 60, 8, rate)[1] == 5


def test_who_wants_nothing_gets_it() -> None:
    tat, granted, wait = take(0.0, NOW, 0, Rate(1.0, 1))
    assert (tat, granted, wait) == (NOW, 0, 0.0)


@given(rates, asked)
def test_no_window_of_time_has_more_than_the_burst_and_the_rate(
    rate: Rate, asked: list[tuple[float, int]]
) -> None:
    tat, taken = 0.0, []
    for now, wanted in times(asked):
        tat, granted, _ = take(tat, now, wanted, rate)
        assert 0 <= granted <= wanted
        taken.append((now, granted))
    for first in range(len(taken)):
        total = 0
        for now, granted in taken[first:]:
            total += granted
            window = now - taken[first][0] + TICK + STEP * len(taken)
            assert total <= rate.burst + rate.per_second * window + 1e-9


@given(rates, asked)
def test_as_many_are_granted_as_an_exact_reckoning_grants(
    rate: Rate, asked: list[tuple[float, int]]
) -> None:
    """In fractions nothing is rounded: the state is reckoned without drift."""
    tat, exact = 0.0, Fraction(0)
    one = 1 / Fraction(rate.per_second)
    for now, wanted in times(asked):
        tat, granted, _ = take(tat, now, wanted, rate)
        start = max(exact, Fraction(now))
        room = (rate.burst * one - (start - Fraction(now))) / one
        # Where the exact answer is a hair from the next whole number, either is right.
        slack = Fraction(rate.per_second) * Fraction(TICK + STEP * 2 * len(asked))
        assert min(wanted, floor(room - slack)) <= granted
        assert granted <= max(0, min(wanted, floor(room + slack)))
        exact = start + granted * one
        assert abs(Fraction(tat) - exact) <= STEP * 2 * len(asked)


@given(rates, st.floats(0, 1e6), st.integers(1, 5_000))
def test_the_wait_is_the_shortest_behind_which_there_is_one_more(
    rate: Rate, ahead: float, wanted: int
) -> None:
    tat, granted, wait = take(NOW + ahead, NOW, wanted, rate)
    assert (wait == 0.0) is (granted == wanted)
    if granted == wanted:
        return
    # Nothing was left: whoever asks again at once gets nothing.
    assert take(tat, NOW, 1, rate)[1] == 0
    assert take(tat, NOW + wait, 1, rate)[1] == 1
    early = wait - 2 * TICK - 4 * STEP
    assert early <= 0 or take(tat, NOW + early, 1, rate)[1] == 0


@given(rates.filter(lambda rate: rate.per_second >= 1), st.integers(200, 2_000))
def test_one_by_one_goes_at_the_rate_for_ever(rate: Rate, sends: int) -> None:
    """No drift: each send is as late as if the first had been the only one rounded."""
    tat, _, _ = take(0.0, NOW, rate.burst, rate)
    now = NOW
    for _ in range(sends):
        wait = take(tat, now, 1, rate)[2]
        now += wait
        tat, granted, _ = take(tat, now, 1, rate)
        assert granted == 1
    assert now - NOW == pytest.approx(sends / rate.per_second, abs=sends * STEP + 2 * TICK)


@given(rates, st.integers(1, 3_000), st.integers(1, 3_000))
def test_what_is_given_back_can_be_granted_again_and_never_more_than_the_burst(
    rate: Rate, wanted: int, unused: int
) -> None:
    want = Want("main/template", wanted, rate)
    budget, granted = grant(Budget(), want, NOW)
    budget = give_back(budget, want._replace(count=unused))
    again = grant(budget, want._replace(count=10_000), NOW)[1]
    assert again.count == min(rate.burst, rate.burst - granted.count + unused)


def test_a_clock_that_is_put_back_stops_nothing_for_long() -> None:
    rate = Rate(10.0, 5)
    tat, _, _ = take(0.0, NOW, 5, rate)
    tat, granted, wait = take(tat, NOW - 3600, 1, rate)
    assert (granted, wait) == (0, near(0.1))
    assert take(tat, NOW - 3600 + wait, 1, rate)[1] == 1


def test_a_rate_that_is_raised_holds_from_the_next_send_on() -> None:
    tat, granted, _ = take(0.0, NOW, 100, Rate(1 / 3600, 100))
    assert granted == 100
    wait = take(tat, NOW, 1, Rate(200.0, 200))[2]
    assert wait == near(0.005)


def test_a_pause_grants_nothing_until_its_end_and_takes_nothing_away() -> None:
    want = Want("main/template", 3, Rate(1.0, 3))
    paused = Budget(0.0, NOW + 40)
    assert grant(paused, want, NOW) == (paused, Grant(0, 40.0))
    assert grant(paused, want._replace(rate=None), NOW) == (paused, Grant(0, 40.0))
    assert grant(paused, want, NOW + 40)[1] == Grant(3, 0.0)


def test_what_has_no_rate_is_granted_and_keeps_no_account() -> None:
    want = Want("main/template", 1_000_000, None)
    assert grant(Budget(), want, NOW) == (Budget(), Grant(1_000_000, 0.0))
    assert give_back(Budget(5.0), want) == Budget(5.0)


@given(rates, asked)
def test_the_state_never_goes_back_by_taking(rate: Rate, asked: list[tuple[float, int]]) -> None:
    states = [0.0]
    for now, wanted in times(asked):
        states.append(take(states[-1], now, wanted, rate)[0])
    assert all(later >= earlier - 2 * TICK for earlier, later in pairwise(states))
