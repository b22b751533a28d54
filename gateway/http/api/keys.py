"""API keys: who asks, and what that one may do. No I/O, and nothing of HTTP but one header."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.errors import PushRefused

PREFIX: Final = "gwk_"
"""What every key begins with, so that whoever finds one knows what it is."""

KEY_BYTES: Final = 32
"""Random bytes of a key: 256 bits."""


class Scope(StrEnum):
    """What a key may be good for."""

    SEND = "push:send"
    READ = "push:read"
    MANAGE = "push:manage"
    READ_PEOPLE = "identity:read"
    MANAGE_PEOPLE = "identity:manage"


class Unauthorized(Exception):
    """Nobody is known by what was given; that is all that is told."""


class Forbidden(PushRefused):
    """A known key is not good for what is asked; the argument names the scope or account."""


class ApiKey(NamedTuple):
    """A key as the gateway knows it: not itself."""

    name: str
    digest: bytes
    """SHA-256. Nobody guesses 256 random bits, so a fast hash hides them as well as a slow one,
    and costs each request a microsecond."""
    scopes: frozenset[str]
    accounts: frozenset[str] = frozenset()
    """Those that it is good for; empty for all."""

    def demand(self, scope: Scope) -> None:
        """Raise Forbidden where the key has not this scope."""
        if scope not in self.scopes:
            raise Forbidden(f"scope: this key has not {scope}")

    def sees(self, account: str) -> bool:
        """Tell whether it is good for an account."""
        return not self.accounts or account in self.accounts

    def account(self, asked: str | None) -> str | None:
        """Return the account that is meant; the key's own where it has but one and none is asked.

        Raises Forbidden where it is not the key's.
        """
        if not asked:
            return next(iter(self.accounts)) if len(self.accounts) == 1 else None
        if not self.sees(asked):
            raise Forbidden(f"account: this key is not for {asked}")
        return asked

    def one_account(self, asked: str | None) -> str | None:
        """Return the account that is meant; None for all, where the key is good for all.

        Raises PushRefused where the key is good for some, and none is asked.
        """
        account = self.account(asked)
        if account is None and self.accounts:
            raise PushRefused(f"account: missing; give one of: {', '.join(sorted(self.accounts))}")
        return account


class Keys:
    """All keys that are known."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    def holder(self, authorization: str | None) -> ApiKey:
        """Return the key of an Authorization header; raise Unauthorized.

        All keys are compared, each in constant time: how long it takes tells nothing.
        """
        scheme, _, given = (authorization or "").partition(" ")
        digest = digest_of(given.strip())
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None or scheme.lower() != "bearer":
            raise Unauthorized
        return found


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def fresh_key(random: bytes) -> str:
    """Return a new key made of KEY_BYTES random bytes."""
    return PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()
