"""What people agreed to: codes, and the users' tokens that come of them (PROTOCOL 7.5).

Users' tokens have nothing to do with those of accounts (tokens.py).
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.simulator.api.people import Person

CODE_SECONDS: Final = 300.0
TOKEN_SECONDS: Final = 7200
REFRESH_SECONDS: Final = 30 * 86_400.0

INVALID_CODE: Final = 40029
USED_CODE: Final = 40163
EXPIRED_CODE: Final = 42003
INVALID_TOKEN: Final = 40001
EXPIRED_TOKEN: Final = 42001
INVALID_REFRESH: Final = 40030
EXPIRED_REFRESH: Final = 42002


class Kind(StrEnum):
    """What a code is for."""

    OAUTH = "oauth"
    """Signing in on a page or in an app."""
    JS = "js"
    """Signing in to a mini program."""
    PHONE = "phone"
    """A mini program's question for the phone number."""


class Perishable(StrEnum):
    """What can be made to expire at once."""

    USER_TOKENS = "user_tokens"
    REFRESH_TOKENS = "refresh_tokens"
    CODES = "codes"


@dataclass(slots=True)
class Consent:
    """What somebody agreed to, by a code that brings it to the app."""

    kind: Kind
    app_id: str
    person: Person
    scope: str
    is_snapshot: bool
    """Whether the app gets a virtual account."""
    until: float
    """When the code ends, Unix seconds."""
    used: bool = False


@dataclass(slots=True)
class Grant:
    """What an app may ask the platform about somebody."""

    consent: Consent
    token: str
    until: float
    """When the token ends, Unix seconds."""
    refresh_token: str
    refresh_until: float


class Grants:
    """All codes and users' tokens of a world."""

    def __init__(self, clock: Callable[[], float], random: Callable[[int], bytes]) -> None:
        """``clock`` gives Unix seconds, ``random`` so many bytes."""
        self._clock = clock
        self._random = random
        self._codes: dict[str, Consent] = {}
        self._tokens: dict[str, Grant] = {}
        self._refresh_tokens: dict[str, Grant] = {}

    def code(
        self,
        kind: Kind,
        app_id: str,
        person: Person,
        scope: str = "",
        *,
        snapshot: bool = False,
    ) -> str:
        """Return a code that is good once, for 5 minutes."""
        code = self._text(24)
        is_snapshot = snapshot or person.is_snapshot
        until = self._clock() + CODE_SECONDS
        self._codes[code] = Consent(kind, app_id, person, scope, is_snapshot, until)
        return code

    def redeem(self, kind: Kind, app_id: str, code: str) -> Consent | int:
        """Return what a code brings, which has no other use then; or an errcode.

        A code that is for something else, or for another app, is left as it is.
        """
        found = self._codes.get(code)
        if found is None or (found.kind, found.app_id) != (kind, app_id):
            return INVALID_CODE
        if found.used:
            return USED_CODE
        if self._clock() >= found.until:
            return EXPIRED_CODE
        found.used = True
        return found

    def begin(self, consent: Consent) -> Grant:
        """Return new tokens."""
        now = self._clock()
        token, refresh = self._text(84), self._text(84)
        grant = Grant(consent, token, now + TOKEN_SECONDS, refresh, now + REFRESH_SECONDS)
        self._tokens[token] = self._refresh_tokens[refresh] = grant
        return grant

    def renew(self, app_id: str, refresh_token: str) -> Grant | int:
        """Let a grant hold for 2 more hours; or return an errcode.

        The token stays the same as long as it holds, only its end moves. The refresh token's does
        not: after 30 days the user is asked again. So the open platform's page on it says.
        """
        grant = self._refresh_tokens.get(refresh_token)
        if grant is None or grant.consent.app_id != app_id:
            return INVALID_REFRESH
        now = self._clock()
        if now >= grant.refresh_until:
            return EXPIRED_REFRESH
        if now >= grant.until:
            grant = Grant(
                grant.consent, self._text(84), now, grant.refresh_token, grant.refresh_until
            )
            self._tokens[grant.token] = self._refresh_tokens[grant.refresh_token] = grant
        grant.until = now + TOKEN_SECONDS
        return grant

    def check(self, token: str) -> Grant | int:
        """Return what a user's token stands for; or an errcode."""
        grant = self._tokens.get(token)
        if grant is None:
            return INVALID_TOKEN
        return EXPIRED_TOKEN if self._clock() >= grant.until else grant

    def expire(self, what: Perishable) -> None:
        """Let all of a sort end now."""
        now = self._clock()
        match what:
            case Perishable.CODES:
                for code in self._codes.values():
                    code.until = min(code.until, now)
            case Perishable.USER_TOKENS:
                for grant in self._tokens.values():
                    grant.until = min(grant.until, now)
            case Perishable.REFRESH_TOKENS:
                for grant in self._refresh_tokens.values():
                    grant.refresh_until = min(grant.refresh_until, now)

    def session_key(self) -> str:
        """Return a key for what a mini program gets encrypted: 16 bytes, as base64."""
        return base64.b64encode(self._random(16)).decode()

    def _text(self, size: int) -> str:
        return base64.urlsafe_b64encode(self._random(size)).decode()
