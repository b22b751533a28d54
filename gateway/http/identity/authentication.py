"""Who calls: the session of a request's token, and guards that ask for one, a role, a right."""

from collections.abc import Callable
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import (
    NotAuthorizedException,
    PermissionDeniedException,
    ServiceUnavailableException,
)
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from gateway.errors import StoreDown
from gateway.http.arrivals import trace_known
from gateway.http.identity.cookies import Cookies
from gateway.identity.session import Session
from gateway.identity.session_tokens import TokenRefused
from gateway.identity.sessions import Opened, Rights, Seen, Sessions
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics

_log = get_logger("gateway.identity")

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], None]


class Authentication:
    """Finds sessions by what requests bring."""

    def __init__(
        self,
        sessions: Sessions,
        rights: Rights,
        cookies: Cookies,
        clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        """``clock`` gives Unix seconds."""
        self.metrics = metrics or Metrics()
        self.sessions = sessions
        self.cookies = cookies
        self._cookie = cookies.session.encode()
        self._rights = rights
        self._clock = clock

    async def seen(self, scope: HTTPScope) -> Seen | None:
        """Return the session of a request; None where it brings none that holds.

        Where there is an Authorization header, that counts and no cookie. Raises StoreDown.
        """
        token = self._token(scope)
        if not token:
            return None
        try:
            seen = await self.sessions.find(token)
        except TokenRefused:
            return None
        trace_known()
        return seen

    def is_due(self, seen: Seen) -> bool:
        """Tell whether it is time for a new token."""
        return self.sessions.is_due(seen)

    async def renewed(self, seen: Seen, *, now: bool = False) -> Opened | None:
        """Return what its user gets in place of their token, where it is time, or ``now``."""
        try:
            return await self.sessions.renew(seen, self._rights, now=now)
        except StoreDown as down:
            # It is good for a while yet, and the next request tries again.
            _log.warning("session not renewed", error=str(down))
            return None

    async def renewing(self, scope: HTTPScope, seen: Seen) -> dict[str, str]:
        """Return the headers that renew the cookie of who calls, where it is time."""
        if not self.is_due(seen) or not by_cookie(scope):
            return {}
        opened = await self.renewed(seen)
        return {} if opened is None else {"set-cookie": self.cookie_of(opened)}

    def cookie_of(self, opened: Opened) -> str:
        """Return the Set-Cookie that brings a session's token."""
        seconds = opened.session.expires_at - self._clock()
        return self.cookies.signed_in(opened.token, seconds).to_header(header="")

    def _token(self, scope: HTTPScope) -> str:
        """Return the token of a request; empty where it brings none.

        By hand: a request's headers and cookies, made to be asked more of, take ten times as long.
        """
        cookie = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
            if name == b"cookie":
                cookie = cookie or _value_in(value, self._cookie)
        return cookie.decode("latin-1")


def by_cookie(scope: HTTPScope) -> bool:
    """Tell whether a request brings its token in a cookie, so that a new one goes there too."""
    return all(name != b"authorization" for name, _ in scope["headers"])


def _value_in(cookies: bytes, name: bytes) -> bytes:
    """Return the value of a cookie in a header (RFC 6265, 4.2)."""
    for pair in cookies.split(b";"):
        key, _, value = pair.partition(b"=")
        if key.strip() == name:
            return value.strip().strip(b'"')
    return b""


class SessionMiddleware(AbstractAuthenticationMiddleware):
    """Litestar's: ``request.user`` is the Session of who calls, or None; ``auth`` is what was seen.

    A cookie whose time is half over is renewed with the response.
    """

    def __init__(self, app: ASGIApp, authentication: Authentication | None, **options: Any) -> None:
        """Without ``authentication`` nobody is known."""
        super().__init__(app, **options)
        self._authentication = authentication

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Find the session."""
        if self._authentication is None:
            return AuthenticationResult(None, None)
        try:
            seen = await self._authentication.seen(cast("HTTPScope", connection.scope))
        except StoreDown as down:
            _log.error("nobody is known", error=str(down))
            raise ServiceUnavailableException(headers={"retry-after": "5"}) from None
        return AuthenticationResult(None if seen is None else seen.session, seen)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_renewed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._renew(scope, message)
            await send(message)

        is_http = scope["type"] == ScopeType.HTTP
        await super().__call__(scope, receive, send_renewed if is_http else send)

    async def _renew(self, scope: Scope, message: Any) -> None:
        seen = scope.get("auth")
        if self._authentication is None or not isinstance(seen, Seen):
            return
        headers = MutableScopeHeaders.from_message(message)
        # Where the route itself says something of cookies, such as that one is over, that counts.
        if "set-cookie" not in headers:
            renewing = self._authentication.renewing(cast("HTTPScope", scope), seen)
            for name, value in (await renewing).items():
                headers.add(name, value)


def signed_in(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let nobody pass who is not signed in; a guard of Litestar's."""
    if not isinstance(connection.scope.get("user"), Session):
        raise NotAuthorizedException(headers={"www-authenticate": "Bearer"})


def requires_role(*roles: str) -> Guard:
    """Return a guard that lets those pass who have one of these roles."""

    def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        signed_in(connection, handler)
        if not set(roles) & set(connection.scope["user"].roles):
            raise PermissionDeniedException

    return guard


def requires_permission(*permissions: str) -> Guard:
    """Return a guard that lets those pass who have all of these permissions."""

    def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        signed_in(connection, handler)
        if not set(permissions) <= set(connection.scope["user"].permissions):
            raise PermissionDeniedException

    return guard
