"""The state of a sign-in: good in its browser, for its account, for ten minutes."""

import os
import re
from base64 import urlsafe_b64encode
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.keys import key_ring
from gateway.identity.redirects import MAX_URL
from gateway.identity.states import BEGUN_SECONDS, MAX_COOKIE, Begun, States

NOW: Final = 1_790_000_000.0
URL: Final = "https://shop.example/page?a=b"
NEW, OLD = "n" * 40, "o" * 40


def states(*secrets: str, at: float = NOW) -> States:
    """Return what makes and opens states at that time."""
    return States(key_ring(secrets or (NEW,), "state"), os.urandom, lambda: at)


def test_a_state_is_of_letters_and_digits_as_the_platform_takes_them() -> None:
    made = states().new("main", "snsapi_base", URL)
    assert re.fullmatch(r"[a-zA-Z0-9]{1,128}", made.value)
    assert states().new("main", "snsapi_base", URL).value != made.value


def test_a_sign_in_is_known_in_the_browser_that_began_it() -> None:
    state, cookie = states().new("main", "snsapi_base", URL)
    assert states().open(state, "main", cookie) == Begun("snsapi_base", URL, NOW)
    # No sign that some would put between quotation marks.
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", cookie)


def test_a_stolen_state_is_good_for_nobody_else() -> None:
    state, cookie = states().new("main", "snsapi_base", URL)
    other, others_cookie = states().new("main", "snsapi_base", URL)
    assert states().open(state, "main", others_cookie) is None
    assert states().open(other, "main", cookie) is None
    assert states().open(state, "main", "") is None
    assert states().open(state, "other", cookie) is None


def test_a_state_is_good_for_ten_minutes() -> None:
    state, cookie = states().new("main", "snsapi_base", URL)
    assert states(at=NOW + BEGUN_SECONDS - 1).open(state, "main", cookie)
    assert states(at=NOW + BEGUN_SECONDS).open(state, "main", cookie) is None


def test_where_it_leads_cannot_be_changed() -> None:
    state, cookie = states().new("main", "snsapi_base", URL)
    mac = cookie.partition(".")[2]
    said = b'{"scope":"snsapi_base","redirect":"https://evil.example","at":1790000000.0}'
    forged = f"{urlsafe_b64encode(said).rstrip(b'=').decode()}.{mac}"
    assert states().open(state, "main", forged) is None


def test_a_state_outlives_a_rotation_of_the_secret() -> None:
    state, cookie = states(OLD).new("main", "snsapi_base", URL)
    assert states(NEW, OLD).open(state, "main", cookie)
    assert states(NEW).open(state, "main", cookie) is None


def test_the_longest_page_fits_into_a_cookie() -> None:
    url = URL + "a" * (MAX_URL - len(URL))
    state, cookie = states().new("main", "snsapi_userinfo", url)
    assert len(cookie) <= MAX_COOKIE
    assert states().open(state, "main", cookie) == Begun("snsapi_userinfo", url, NOW)


@given(st.text(max_size=80), st.text(max_size=200))
def test_nothing_is_opened_that_was_not_made(state: str, cookie: str) -> None:
    assert states().open(state, "main", cookie) is None
    real = states().new("main", "snsapi_base", URL)
    assert states().open(real.value, "main", cookie) is None
    assert states().open(state, "main", real.cookie) is None
