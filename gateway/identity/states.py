"""The ``state`` of a sign-in: good once, in the browser and for the account that it was made for.

What a sign-in is to lead to is in a cookie of that browser, signed together with the state. So
nothing is stored before a user comes back, and a state that was forged, stolen or kept too long is
refused before any store is asked.
"""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from gateway.identity.keys import Key, KeyRing

BEGUN_SECONDS: Final = 600.0
"""How long a user may take at WeChat's page."""

MAX_COOKIE: Final = 3800
"""Characters; browsers take 4,096 with the name."""

# The platform takes letters and digits, 128 at most (PROTOCOL 7.5).
_STATE: Final = re.compile(r"[0-9a-f]{32}")


class Begun(msgspec.Struct, frozen=True):
    """A sign-in on its way."""

    scope: str
    redirect: str
    at: float
    """When it was begun, Unix seconds."""


class State(NamedTuple):
    """A state, and what its browser keeps beside it."""

    value: str
    cookie: str


class States:
    """Makes states, and tells whose they are."""

    def __init__(
        self, keys: KeyRing, random: Callable[[int], bytes], clock: Callable[[], float]
    ) -> None:
        """``random`` gives so many bytes; ``clock`` Unix seconds."""
        self._keys = keys
        self._random = random
        self._clock = clock

    def new(self, account: str, scope: str, redirect: str) -> State:
        """Return a state for a sign-in to an account."""
        state = self._random(16).hex()
        begun = msgspec.json.encode(Begun(scope, redirect, self._clock()))
        return State(state, _seal(self._keys.current, state, account, begun))

    def open(self, state: str, account: str, cookie: str) -> Begun | None:
        """Return the sign-in of a state in the browser that has the cookie; None where it is none.

        None, too, where it was begun too long ago.
        """
        if not _STATE.fullmatch(state) or len(cookie) > MAX_COOKIE or not cookie.isascii():
            return None
        said = _said(cookie)
        if not any(hmac.compare_digest(_seal(k, state, account, said), cookie) for k in self._all):
            return None
        begun = msgspec.json.decode(said, type=Begun)
        return begun if self._clock() - begun.at < BEGUN_SECONDS else None

    @property
    def _all(self) -> tuple[Key, ...]:
        return self._keys.all


def _seal(key: Key, state: str, account: str, begun: bytes) -> str:
    said = f"{state} {account} ".encode() + begun
    mac = hmac.digest(key.value, said, sha256).hex()
    # Without padding: a cookie's value with = in it is one that some quote.
    return f"{urlsafe_b64encode(begun).rstrip(b'=').decode()}.{mac}"


def _said(cookie: str) -> bytes:
    """Return what a cookie says, be it true or not."""
    text = cookie.partition(".")[0]
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
