"""Where tokens and tickets come from: WeChat's endpoints for them (PROTOCOL 7.1)."""

from collections.abc import Callable
from typing import Any, Final, Literal

from gateway.errors import AccountRejected, TokenRejected, TokenUnavailable
from gateway.outbound.api import Answer, WeChatApi
from gateway.outbound.tokens import Fetched

STABLE_TOKEN: Final = "/cgi-bin/stable_token"  # noqa: S105  # a path
TOKEN: Final = "/cgi-bin/token"  # noqa: S105
TICKET: Final = "/cgi-bin/ticket/getticket"

OVERLAP: Final = 300.0
"""Seconds at the end of a token's life in which its successor can be had; both hold then."""

FORCED_EVERY: Final = 30.0
"""Seconds between two forced tokens, at least."""

TicketType = Literal["jsapi", "wx_card"]


class Credentials:
    """An account's app id and secret. The secret stays out of its repr."""

    __slots__ = ("app_id", "secret")

    def __init__(self, app_id: str, secret: str) -> None:
        self.app_id = app_id
        self.secret = secret

    def asked(self) -> dict[str, Any]:
        """Return what WeChat is asked for a token with."""
        return {
            "grant_type": "client_credential",
            "appid": self.app_id,
            "secret": self.secret,
        }

    def __repr__(self) -> str:
        return f"Credentials({self.app_id})"


class StableToken:
    """Tokens of /cgi-bin/stable_token: the same one for whoever asks, as long as it holds."""

    shared: Final = True
    # It gives the successor from 5 minutes before the end, not earlier.
    early: Final = OVERLAP - 10.0

    def __init__(
        self, api: WeChatApi, credentials: Credentials, clock: Callable[[], float]
    ) -> None:
        """``api`` is one without tokens; ``clock`` gives Unix seconds."""
        self._api = api
        self._credentials = credentials
        self._clock = clock
        self._forced_at = float("-inf")

    async def fetch(self) -> Fetched:
        """Return the token that holds."""
        return await self._ask(force=False)

    async def force(self) -> Fetched | None:
        """Return a new one, which ends the old one at once; None where that was done just now.

        WeChat does so 20 times a day, 30 seconds apart.
        """
        now = self._clock()
        if now < self._forced_at + FORCED_EVERY:
            return None
        self._forced_at = now
        return await self._ask(force=True)

    async def _ask(self, *, force: bool) -> Fetched:
        body = self._credentials.asked()
        if force:
            body["force_refresh"] = True
        try:
            answer = await self._api.call("POST", STABLE_TOKEN, json=body, repeatable=not force)
        except TokenRejected as wrong:
            raise _wrong_secret(wrong) from None
        return _fetched(STABLE_TOKEN, answer, "access_token")


class PlainToken:
    """Tokens of /cgi-bin/token: each one new, the one before it good for 5 more minutes."""

    shared: Final = False
    early: Final = 2 * OVERLAP

    def __init__(self, api: WeChatApi, credentials: Credentials) -> None:
        """``api`` is one without tokens."""
        self._api = api
        self._credentials = credentials

    async def fetch(self) -> Fetched:
        """Return a new token."""
        try:
            answer = await self._api.call("GET", TOKEN, query=self._credentials.asked())
        except TokenRejected as wrong:
            raise _wrong_secret(wrong) from None
        return _fetched(TOKEN, answer, "access_token")

    async def force(self) -> Fetched | None:
        """Return None: each one is new as it is."""
        return None


class Ticket:
    """Tickets of one type: what pages are signed with (PROTOCOL 7.6)."""

    # Whether each process gets the same is not documented; their daily quota is very low.
    shared: Final = False
    early: Final = 2 * OVERLAP

    def __init__(self, api: WeChatApi, kind: TicketType) -> None:
        """``api`` is the account's."""
        self._api = api
        self._kind = kind

    async def fetch(self) -> Fetched:
        """Return a ticket."""
        answer = await self._api.call("GET", TICKET, query={"type": self._kind})
        return _fetched(TICKET, answer, "ticket")

    async def force(self) -> Fetched | None:
        """Return None: no call tells that a ticket is dead."""
        return None


def _wrong_secret(wrong: TokenRejected) -> AccountRejected:
    """Return what a dead token means where none was sent (PROTOCOL 8)."""
    return AccountRejected(wrong.path, wrong.code, wrong.said, "wrong app_secret", wrong.rid)


def _fetched(path: str, answer: Answer, name: str) -> Fetched:
    value, seconds = answer.get(name), answer.get("expires_in")
    if not isinstance(value, str) or not value or not isinstance(seconds, int | float):
        raise TokenUnavailable(f"{path}: answered without {name} or expires_in")
    return Fetched(value, float(seconds))
