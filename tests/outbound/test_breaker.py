"""The circuit breaker: by examples, and against a model that sends, fails and waits at random."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.outbound.breaker import Breaker, BreakerTerms, State

TERMS = BreakerTerms(failures=3, base=1.0, cap=60.0, probe=30.0)


def opened(draw: float = 0.5) -> Breaker:
    """Return a breaker that opened at 0."""
    breaker = Breaker(TERMS)
    for _ in range(TERMS.failures):
        breaker.failed(0.0, draw)
    return breaker


def test_all_may_begin_until_so_many_failed_one_after_another() -> None:
    breaker = Breaker(TERMS)
    for _ in range(TERMS.failures - 1):
        breaker.failed(0.0, 0.5)
        assert (breaker.state(0.0), breaker.room(0.0, 7), breaker.wait(0.0)) == ("closed", 7, 0.0)
    breaker.succeeded()
    for _ in range(TERMS.failures - 1):
        breaker.failed(0.0, 0.5)
    assert breaker.room(0.0, 7) == 7
    breaker.failed(0.0, 0.5)
    assert (breaker.state(0.0), breaker.room(0.0, 7)) == (State.OPEN, 0)


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 0.5), (0.5, 0.75), (1 - 2**-53, 1.0)])
def test_it_opens_for_half_of_its_time_and_a_random_part_of_the_rest(
    draw: float, seconds: float
) -> None:
    assert opened(draw).wait(0.0) == pytest.approx(seconds)


def test_then_one_is_let_through_and_its_success_closes() -> None:
    breaker = opened()
    now = breaker.wait(0.0)
    assert breaker.state(now) == State.HALF_OPEN
    assert breaker.room(now, 0) == 0
    assert [breaker.room(now, 7) for _ in range(3)] == [1, 0, 0]
    breaker.succeeded()
    assert (breaker.state(now), breaker.room(now, 7)) == (State.CLOSED, 7)


def test_each_probe_that_fails_opens_for_twice_as_long_up_to_a_cap() -> None:
    breaker, now, waits = opened(0.0), 0.0, []
    for _ in range(9):
        waits.append(breaker.wait(now))
        now += waits[-1]
        assert breaker.room(now, 7) == 1
        breaker.failed(now, 0.0)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    now += breaker.wait(now)
    assert breaker.room(now, 1) == 1
    breaker.succeeded()
    for _ in range(TERMS.failures):
        breaker.failed(now, 0.0)
    # It begins anew behind a success.
    assert breaker.wait(now) == pytest.approx(0.5)


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = opened()
    wait = breaker.wait(0.0)
    for _ in range(20):
        breaker.failed(0.1, 0.9)
    breaker.succeeded()
    assert (breaker.state(0.1), breaker.wait(0.0)) == (State.OPEN, wait)


def test_a_probe_that_did_not_begin_leaves_its_place_to_another() -> None:
    breaker = opened()
    now = breaker.wait(0.0)
    assert breaker.room(now, 7) == 1
    breaker.unused()
    assert breaker.room(now, 7) == 1


def test_a_probe_that_nobody_tells_of_is_given_up() -> None:
    breaker = opened()
    now = breaker.wait(0.0)
    assert breaker.room(now, 7) == 1
    assert breaker.wait(now) == TERMS.probe
    assert breaker.room(now + TERMS.probe - 0.1, 7) == 0
    assert breaker.room(now + TERMS.probe, 7) == 1


def test_what_only_an_operator_can_mend_opens_at_once_and_for_so_long() -> None:
    breaker = Breaker(TERMS)
    breaker.trip(0.0, 300.0)
    assert (breaker.room(0.0, 7), breaker.wait(0.0)) == (0, 300.0)
    # An earlier end shortens nothing, a later one does hold.
    breaker.trip(1.0, 10.0)
    assert breaker.wait(0.0) == 300.0
    breaker.trip(1.0, 300.0)
    assert breaker.wait(0.0) == 301.0
    assert [breaker.room(301.0, 7) for _ in range(2)] == [1, 0]
    breaker.trip(301.0, 300.0)
    assert breaker.room(302.0, 7) == 0


class Sending(RuleBasedStateMachine):
    """A sender with several sends under way, which end as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(TERMS)
        self.now = 0.0
        self.out = 0
        """Sends whose end nobody told."""

    @rule(wanted=st.integers(0, 5))
    def begin(self, wanted: int) -> None:
        state, wait = self.breaker.state(self.now), self.breaker.wait(self.now)
        room = self.breaker.room(self.now, wanted)
        self.out += room
        if state is State.CLOSED:
            assert room == wanted
        else:
            assert room == (wanted > 0 and wait == 0.0)
            # No second probe, until the first one is told of or lost.
            assert not room or self.breaker.room(self.now, 5) == 0

    @precondition(lambda self: self.out)
    @rule()
    def succeed(self) -> None:
        before = self.breaker.state(self.now)
        self.out -= 1
        self.breaker.succeeded()
        assert before is not State.OPEN or self.breaker.state(self.now) is State.OPEN

    @precondition(lambda self: self.out)
    @rule(draw=st.floats(0, 1, exclude_max=True))
    def fail(self, draw: float) -> None:
        before, waited = self.breaker.state(self.now), self.breaker.wait(self.now)
        self.out -= 1
        self.breaker.failed(self.now, draw)
        wait = self.breaker.wait(self.now)
        if before is State.OPEN:
            assert wait == waited
        elif self.breaker.state(self.now) is State.OPEN:
            assert TERMS.base / 2 <= wait + 1e-9
            assert wait <= TERMS.cap + 1e-9

    @precondition(lambda self: self.out)
    @rule()
    def withdraw(self) -> None:
        self.out -= 1
        self.breaker.unused()

    @rule(seconds=st.floats(0, 600))
    def trip(self, seconds: float) -> None:
        waited = self.breaker.wait(self.now)
        was_open = self.breaker.state(self.now) is State.OPEN
        self.breaker.trip(self.now, seconds)
        assert self.breaker.wait(self.now) == pytest.approx(max(seconds, waited * was_open))

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_as_told(self) -> None:
        """Behind the wait there is room, whatever was: it is never stuck."""
        self.now += self.breaker.wait(self.now) + 1e-6
        room = self.breaker.room(self.now, 1)
        self.out += room
        assert room == 1

    @invariant()
    def only_an_open_one_tells_of_a_wait(self) -> None:
        assert self.breaker.wait(self.now) >= 0.0
        if self.breaker.state(self.now) is State.OPEN:
            assert self.breaker.wait(self.now) > 0.0


Sending.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestSending = Sending.TestCase
