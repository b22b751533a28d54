"""Verifying a session that the process remembers: all that `/session/verify` does for it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast

from gateway.http.identity.authentication import Authentication
from gateway.http.identity.cookies import Cookies
from gateway.http.identity.verify import verify_route
from gateway.identity.keys import key_ring
from gateway.identity.ports import SessionStore
from gateway.identity.session import Session
from gateway.identity.session_tokens import SessionTokens
from gateway.identity.sessions import Lifetimes, Roles, Sessions
from tests.support import NOW

_COOKIE: Final = "gateway_session"
_DAY: Final = 86_400.0
_SESSION: Final = Session(
    id="s" * 43,
    person="01J9Z3K4M5N6P7Q8R9S0T1U2V3",
    account="main",
    app_id="wx0123456789abcdef",
    open_id="oVerifiesASession0123456789A",
    began_at=float(NOW),
    seen_at=float(NOW),
    expires_at=NOW + _DAY,
    ends_at=NOW + 30 * _DAY,
    union_id="oUnionOfAllApps0123456789ABC",
    tenant="shop",
    roles=("admin", "staff"),
    permissions=("orders:read", "orders:write"),
)


_HEADERS: Final = (
    (b"host", b"127.0.0.1:8000"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"shop.example"),
    (b"x-forwarded-uri", b"/orders?page=2"),
    (b"user-agent", b"Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.50"),
    (b"accept-language", b"zh-CN,zh;q=0.9"),
)
"""What comes with a request beside its cookie."""


class _Remembered:
    """The store's and the rights' part in it: to be asked once, at the beginning."""

    async def get(self, ids: Sequence[str]) -> list[Session | None]:
        """Return the one session that there is, for each id."""
        return [_SESSION for _ in ids]

    async def of(self, session: Session) -> Session:
        """Return the session as it is."""
        return session


def verifying() -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what makes a coroutine that verifies the session, and that never waits."""
    keys = key_ring(("not-a-secret-of-anybody-0123456789",), "session")
    tokens = SessionTokens(keys, "https://wx.shop.example", _clock)
    lifetimes = Lifetimes(session=_DAY, most=30 * _DAY, cache=_DAY)
    remembered = _Remembered()
    store = cast("SessionStore", remembered)
    sessions = Sessions(store, tokens, lifetimes, Roles({}), clock=_clock)
    cookies = Cookies(_COOKIE, None, secure=True, same_site="lax")
    authentication = Authentication(sessions, remembered, cookies, _clock)
    verify = verify_route(authentication, {"main"}, "https://wx.shop.example").fn
    cookie = f"theme=dark; {_COOKIE}={tokens.sign(_SESSION)}".encode()
    scope = {"type": "http", "query_string": b"", "headers": [*_HEADERS, (b"cookie", cookie)]}
    said: list[Any] = []

    async def send(message: Any) -> None:
        said[:] = [message, *said[:1]]

    def call() -> Coroutine[Any, Any, None]:
        return cast("Coroutine[Any, Any, None]", verify(scope, None, send))

    asyncio.run(call())
    assert (b"x-auth-user", _SESSION.person.encode()) in said[1]["headers"]
    return call


def _clock() -> float:
    return float(NOW)
