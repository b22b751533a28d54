"""The ``state`` of a sign-in: good once, in the browser and for the account that it was made for.

It proves that by itself, so that a forged or a stolen one is refused before any store is asked.
"""

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from gateway.identity.keys import Key, KeyRing

_NONCE_DIGITS: Final = 32
# 64 of the 128 that the platform takes, letters and digits only (PROTOCOL 7.5).
_STATE: Final = re.compile(r"[0-9a-f]{64}")
_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")


class States:
    """Makes states, and tells whose they are."""

    def __init__(self, keys: KeyRing, random: Callable[[int], bytes]) -> None:
        """``random`` gives so many bytes."""
        self._keys = keys
        self._random = random

    def new(self, account: str, browser: str) -> str:
        """Return a state for an account and a browser, which has that name in a cookie."""
        nonce = self._random(_NONCE_DIGITS // 2).hex()
        return nonce + _mac(self._keys.current, nonce, account, browser)

    def holds(self, state: str, account: str, browser: str) -> bool:
        """Tell whether a state was made for these."""
        if not _STATE.fullmatch(state) or not is_browser(browser):
            return False
        nonce, mac = state[:_NONCE_DIGITS], state[_NONCE_DIGITS:]
        found = [
            hmac.compare_digest(_mac(key, nonce, account, browser), mac) for key in self._keys.all
        ]
        return any(found)


def is_browser(name: str) -> bool:
    """Tell whether a cookie may be a browser's name that the gateway gave it."""
    return _BROWSER.fullmatch(name) is not None


def _mac(key: Key, nonce: str, account: str, browser: str) -> str:
    said = f"{nonce} {account} {browser}".encode()
    return hmac.digest(key.value, said, sha256).hex()[:_NONCE_DIGITS]
