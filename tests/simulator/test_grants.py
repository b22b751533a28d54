"""Codes and users' tokens by the platform's rules (PROTOCOL 7.5)."""

import base64
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.api.grants import Consent, Grant, Grants, Kind, Perishable
from gateway.simulator.api.people import People
from tests.simulator.test_platform_tokens import Clock

APP = "wx1"


def made() -> tuple[Grants, Clock]:
    """Return an empty book of them, and its clock."""
    clock, numbers = Clock(), count(1)
    return Grants(clock, lambda size: next(numbers).to_bytes(size, "big")), clock


def agreed(grants: Grants) -> Grant:
    """Return the tokens of somebody who agreed."""
    found = grants.redeem(Kind.OAUTH, APP, code(grants))
    assert isinstance(found, Consent)
    return grants.begin(found)


def code(grants: Grants, kind: Kind = Kind.OAUTH) -> str:
    """Return a code of somebody's."""
    return grants.code(kind, APP, People().first, "snsapi_userinfo")


@pytest.mark.parametrize("kind", Kind)
def test_a_code_is_good_once(kind: Kind) -> None:
    grants, clock = made()
    one = code(grants, kind)
    assert len(one) == 32
    clock.now += 299
    found = grants.redeem(kind, APP, one)
    assert isinstance(found, Consent)
    assert found.scope == "snsapi_userinfo"
    assert grants.redeem(kind, APP, one) == 40163
    clock.now += 300
    assert grants.redeem(kind, APP, one) == 40163


def test_a_code_ends_after_5_minutes() -> None:
    grants, clock = made()
    one = code(grants)
    clock.now += 300
    assert grants.redeem(Kind.OAUTH, APP, one) == 42003


def test_a_code_for_something_else_is_left_as_it_is() -> None:
    grants, _ = made()
    one = code(grants)
    assert grants.redeem(Kind.OAUTH, "wx2", one) == 40029
    assert grants.redeem(Kind.JS, APP, one) == 40029
    assert grants.redeem(Kind.OAUTH, APP, one + "x") == 40029
    assert isinstance(grants.redeem(Kind.OAUTH, APP, one), Consent)


def test_a_users_token_holds_for_2_hours_and_its_refresh_token_for_30_days() -> None:
    grants, clock = made()
    grant = agreed(grants)
    clock.now += 7199
    assert grants.check(grant.token) is grant
    clock.now += 1
    assert grants.check(grant.token) == 42001
    assert grants.check("nobody's") == 40001
    clock.now += 30 * 86_400 - 7201
    assert isinstance(grants.renew(APP, grant.refresh_token), Grant)
    clock.now += 1
    assert grants.renew(APP, grant.refresh_token) == 42002
    assert grants.renew("wx2", grant.refresh_token) == 40030
    assert grants.renew(APP, "nobody's") == 40030


def test_a_token_that_holds_is_the_same_once_it_is_renewed_and_holds_longer() -> None:
    grants, clock = made()
    old = agreed(grants).token
    clock.now += 7000
    renewed = grants.renew(APP, grants._tokens[old].refresh_token)
    assert isinstance(renewed, Grant)
    assert renewed.token == old
    clock.now += 7199
    assert grants.check(old) is renewed
    clock.now += 1
    another = grants.renew(APP, renewed.refresh_token)
    assert isinstance(another, Grant)
    assert (another.token != old, another.refresh_token) == (True, renewed.refresh_token)
    assert (grants.check(old), grants.check(another.token)) == (42001, another)


def test_what_is_there_can_be_made_to_end_and_what_comes_later_holds() -> None:
    grants, _ = made()
    grant, one = agreed(grants), code(grants)
    grants.expire(Perishable.CODES)
    assert grants.redeem(Kind.OAUTH, APP, one) == 42003
    assert grants.check(grant.token) is grant
    grants.expire(Perishable.USER_TOKENS)
    assert grants.check(grant.token) == 42001
    renewed = grants.renew(APP, grant.refresh_token)
    assert isinstance(renewed, Grant)
    grants.expire(Perishable.REFRESH_TOKENS)
    assert grants.renew(APP, grant.refresh_token) == 42002
    assert grants.check(renewed.token) is renewed
    assert isinstance(grants.redeem(Kind.OAUTH, APP, code(grants)), Consent)


def test_a_session_key_is_16_bytes() -> None:
    grants, _ = made()
    keys = {grants.session_key() for _ in range(3)}
    assert {len(base64.b64decode(key)) for key in keys} == {16}
    assert len(keys) == 3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.sampled_from(Kind)),
        st.tuples(st.just("redeem"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(0, 400)),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_code_is_ever_good_twice_or_late(steps: list[tuple[str, Kind | int]]) -> None:
    grants, clock = made()
    made_at: list[tuple[str, Kind, float]] = []
    good: set[str] = set()
    for step, given_ in steps:
        if isinstance(given_, Kind):
            made_at.append((code(grants, given_), given_, clock.now))
        elif step == "wait":
            clock.now += given_
        elif given_ < len(made_at):
            one, kind, at = made_at[given_]
            found = grants.redeem(kind, APP, one)
            if one in good:
                assert found == 40163
            elif clock.now - at >= 300:
                assert found == 42003
            else:
                assert isinstance(found, Consent)
                good.add(one)
