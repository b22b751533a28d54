"""Session tokens: short JWTs (RFC 7519) that name a session and carry none of it.

One algorithm, written here and nowhere else; what a token says of its own is not asked.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jwt

from gateway.identity.keys import KeyRing
from gateway.identity.session import Session

ALGORITHM: Final = "HS256"

MAX_TOKEN: Final = 1024
"""Characters; ours have about 400."""

_HEADER: Final = frozenset(("alg", "typ", "kid"))
_REQUIRED: Final = ("sub", "jti", "iat", "exp", "aud", "account")


class TokenRefused(Exception):
    """No session token of this gateway's, or not any more; why is nobody's to know."""


class Claims(NamedTuple):
    """What a token says."""

    person: str
    """``sub``"""
    session: str
    """``jti``"""
    account: str
    expires_at: float
    """``exp``, Unix seconds."""


class SessionTokens:
    """Signs tokens, and reads those that were signed."""

    def __init__(self, keys: KeyRing, audience: str, clock: Callable[[], float]) -> None:
        """``audience`` is who they are good for: this gateway's public URL."""
        self._keys = keys
        self._audience = audience
        self._clock = clock
        self._jwt = jwt.PyJWT(
            options={
                "require": list(_REQUIRED),
                # By the clock that is given, below.
                "verify_exp": False,
                "verify_iat": False,
                "strict_aud": True,
            }
        )

    def sign(self, session: Session) -> str:
        """Return the token of a session, good until the session expires."""
        claims = {
            "sub": session.person,
            "jti": session.id,
            "iat": int(self._clock()),
            "exp": int(session.expires_at),
            "aud": self._audience,
            "account": session.account,
        }
        key = self._keys.current
        return self._jwt.encode(claims, key.value, ALGORITHM, headers={"kid": key.id})

    def read(self, token: str) -> Claims:
        """Return what a token says; raise TokenRefused."""
        if len(token) > MAX_TOKEN:
            raise TokenRefused
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.find(header.get("kid"))
            # Nothing in the header may ask for anything else, such as a key from a URL.
            if key is None or not header.keys() <= _HEADER:
                raise TokenRefused
            said = self._jwt.decode(token, key.value, [ALGORITHM], audience=self._audience)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenRefused from None
        claims = _claims(said)
        if claims.expires_at <= self._clock():
            raise TokenRefused
        return claims


def _claims(said: dict[str, Any]) -> Claims:
    texts = said["sub"], said["jti"], said["account"]
    if not all(isinstance(text, str) and text for text in texts) or type(said["exp"]) is not int:
        raise TokenRefused
    return Claims(*texts, said["exp"])
