"""Session tokens: what is read back, and every way in which somebody else's is refused."""

import base64
import hmac
import json
import time
from typing import Any, Final

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.keys import key_ring
from gateway.identity.session import Session
from gateway.identity.session_tokens import MAX_TOKEN, Claims, SessionTokens, TokenRefused

NOW: Final = 1_790_000_000.5
URL: Final = "https://wx.shop.example"
OLD, NEW, OTHER = "o" * 40, "n" * 40, "x" * 40
RING: Final = key_ring((NEW, OLD), "session")
SESSION: Final = Session("jti-1", "person-1", "main", "wx1", "oUser", NOW, NOW, NOW + 60, NOW + 600)
CLAIMS: Final[dict[str, Any]] = {
    "sub": "person-1",
    "jti": "jti-1",
    "iat": int(NOW),
    "exp": int(NOW) + 60,
    "aud": URL,
    "account": "main",
}


def tokens(*secrets: str, at: float = NOW, audience: str = URL) -> SessionTokens:
    """Return what signs with the first of these secrets, and reads those of all."""
    return SessionTokens(key_ring(secrets or (NEW, OLD), "session"), audience, lambda: at)


def forged(claims: dict[str, Any], header: dict[str, Any], key: bytes | None = None) -> str:
    """Return a token as somebody writes it by hand; with a key its signature is right."""
    parts = [_part(json.dumps(header).encode()), _part(json.dumps(claims).encode())]
    signed = ".".join(parts).encode()
    signature = b"" if key is None else hmac.digest(key, signed, "sha256")
    return ".".join([*parts, _part(signature)])


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refuses(token: str, reader: SessionTokens | None = None) -> bool:
    """Tell whether a token is refused, without a word."""
    with pytest.raises(TokenRefused) as caught:
        (reader or tokens()).read(token)
    return not caught.value.args and caught.value.__cause__ is None


HEADER: Final = {"alg": "HS256", "typ": "JWT", "kid": RING.current.id}


def test_a_token_is_read_as_it_was_signed() -> None:
    token = tokens().sign(SESSION)
    assert tokens().read(token) == Claims("person-1", "jti-1", "main", int(NOW) + 60)
    assert jwt.get_unverified_header(token) == HEADER
    # What anybody can read says nothing of the user but a number.
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")) == CLAIMS


def test_a_token_made_by_hand_with_the_key_is_as_good() -> None:
    """So that the forgeries below are refused for what is wrong with each, and nothing else."""
    assert tokens().read(forged(CLAIMS, HEADER, RING.current.value)).session == "jti-1"


def test_two_keys_live_while_a_rotation_is_under_way() -> None:
    before = tokens(OLD).sign(SESSION)
    assert tokens(NEW, OLD).read(before).session == "jti-1"
    assert tokens(OLD, NEW).read(tokens(NEW, OLD).sign(SESSION)).session == "jti-1"
    assert refuses(before, tokens(NEW))
    assert refuses(tokens(OTHER).sign(SESSION))


def test_a_token_ends_by_the_clock() -> None:
    token = tokens().sign(SESSION)
    assert tokens(at=NOW + 59).read(token)
    assert refuses(token, tokens(at=NOW + 60))


def test_a_token_is_good_at_its_own_gateway_alone() -> None:
    assert refuses(tokens(audience="https://other.example").sign(SESSION))
    for audience in ([URL], [URL, "https://other.example"], None, "", 1):
        assert refuses(forged({**CLAIMS, "aud": audience}, HEADER, RING.current.value))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_no_algorithm_is_no_algorithm(alg: str) -> None:
    assert refuses(forged(CLAIMS, {**HEADER, "alg": alg}))
    assert refuses(forged(CLAIMS, {**HEADER, "alg": alg}, RING.current.value))
    assert refuses(forged(CLAIMS, {**HEADER, "alg": alg}).rstrip("."))


@pytest.mark.parametrize("alg", ["HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "PS256"])
def test_a_token_does_not_choose_its_algorithm(alg: str) -> None:
    assert refuses(forged(CLAIMS, {**HEADER, "alg": alg}, RING.current.value))
    signed = ".".join(forged(CLAIMS, {**HEADER, "alg": alg}).split(".")[:2])
    for digest in ("sha384", "sha512"):
        signature = _part(hmac.digest(RING.current.value, signed.encode(), digest))
        assert refuses(f"{signed}.{signature}")


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": {"kty": "oct", "k": _part(b"x" * 32)}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"kid": ""},
        {"kid": None},
        {"kid": ["0"]},
        {"kid": {"a": 1}},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"zip": "DEF"},
    ],
)
def test_a_token_does_not_choose_its_key(header: dict[str, Any]) -> None:
    assert refuses(forged(CLAIMS, {**HEADER, **header}, RING.current.value))


def test_a_token_names_its_key() -> None:
    assert refuses(forged(CLAIMS, {"alg": "HS256", "typ": "JWT"}, RING.current.value))
    crossed = {**HEADER, "kid": RING.previous[0].id}
    assert refuses(forged(CLAIMS, crossed, RING.current.value))


@pytest.mark.parametrize("name", list(CLAIMS))
def test_nothing_may_be_missing(name: str) -> None:
    claims = {key: value for key, value in CLAIMS.items() if key != name}
    assert refuses(forged(claims, HEADER, RING.current.value))


@pytest.mark.parametrize(
    "claims",
    [
        *({"exp": value} for value in (None, "1999999999", True, 1e12, [1], -1)),
        *({"sub": value} for value in (None, "", 1, ["person-1"])),
        *({"jti": value} for value in (None, "", 1, {"a": "b"})),
        *({"account": value} for value in (None, "", 7)),
    ],
)
def test_each_claim_has_its_type(claims: dict[str, Any]) -> None:
    assert refuses(forged({**CLAIMS, **claims}, HEADER, RING.current.value))


def test_what_was_changed_is_refused() -> None:
    head, claims, signature = tokens().sign(SESSION).split(".")
    other = _part(json.dumps({**CLAIMS, "sub": "person-2"}).encode())
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}.{claims}.{signature}.",
        f"{head}.{claims}.{_part(b'0' * 32)}",
        f"{head}.{claims}.{signature[:-2]}",
        "",
        ".",
        "..",
        "a" * MAX_TOKEN,
        tokens().sign(SESSION) + "a" * MAX_TOKEN,
    ):
        assert refuses(token)


@given(st.text(max_size=300) | st.binary(max_size=100).map(lambda raw: _part(raw) + ".e30.AA"))
def test_nothing_at_all_is_read_but_a_token(text: str) -> None:
    assert refuses(text)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_no_byte_can_be_another(at: int, byte: int) -> None:
    token = tokens().sign(SESSION).encode()
    at %= len(token)
    spoiled = (token[:at] + bytes([byte]) + token[at + 1 :]).decode("latin-1")
    if spoiled.encode("latin-1") == token:
        return
    try:
        read = tokens().read(spoiled)
    except TokenRefused:
        return
    # The last digit of base64 has bits that no byte holds.
    assert at == len(token) - 1
    assert read == tokens().read(token.decode())


def test_a_session_made_now_is_good_now() -> None:
    now = time.time()
    one = Session("j", "p", "main", "wx1", "o1", now, now, now + 60, now + 600)
    real = SessionTokens(RING, URL, time.time)
    assert real.read(real.sign(one)).person == "p"
