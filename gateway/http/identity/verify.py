"""/session/verify: a reverse proxy asks whether a request may pass, and who it is from.

For nginx's auth_request and Traefik's ForwardAuth: 200 lets it pass, and tells who calls in
headers; 401 and 403 do not. A store that is down answers 503, which no proxy lets pass.

Every request to every page behind the proxy comes by here. So it is a plain ASGI callable: a typed
handler makes a request and a response object for each, which takes four times what the rest does.
"""

from collections.abc import Collection
from typing import Final, cast
from urllib.parse import parse_qs, quote

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.errors import StoreDown
from gateway.http.identity.authentication import Authentication
from gateway.http.identity.navigation import escaped, is_navigation
from gateway.http.identity.pages import HEADERS
from gateway.identity.session import Session
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.identity")

PATH: Final = "/session/verify"

_Fields = list[tuple[bytes, bytes]]
_Query = dict[str, list[str]]

_ASKED: Final = frozenset(("account", "role", "permission", "sign_in"))
_KNOWN: Final = ", ".join(sorted(_ASKED))

_OUTCOMES: Final = {200: "ok", 302: "none", 401: "none", 403: "forbidden", 503: "failed"}
"""What each status is counted as."""

_NO_STORE: Final = (b"cache-control", b"no-store")
_EMPTY: Final = (b"content-length", b"0")
_BEARER: Final = (b"www-authenticate", b"Bearer")


def verify_route(
    authentication: Authentication, sign_ins: Collection[str], public_url: str
) -> ASGIRouteHandler:
    """Return the route; ``sign_ins`` are the accounts whose users can be sent to sign in."""
    verifier = _Verifier(authentication, sign_ins, public_url)

    @asgi(PATH, copy_scope=False)
    async def verify(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's
        try:
            status, fields = await verifier.judge(cast("HTTPScope", scope))
        except StoreDown as down:
            _log.error("nobody passes", error=str(down))
            status, fields = 503, [(b"retry-after", b"5")]
        authentication.metrics.verifications.add((_OUTCOMES[status],))
        fields += (_NO_STORE, _EMPTY)
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return verify


class _Verifier:
    """Judges requests."""

    def __init__(
        self, authentication: Authentication, sign_ins: Collection[str], public_url: str
    ) -> None:
        self._authentication = authentication
        self._sign_ins = sign_ins
        self._public_url = public_url

    async def judge(self, scope: HTTPScope) -> tuple[int, _Fields]:
        """Return the status and headers that a request is answered with."""
        seen = await self._authentication.seen(scope)
        query = _query(scope)
        if not query.keys() <= _ASKED:
            _log.error("asked for what it does not know", path=PATH, hint=f"there are: {_KNOWN}")
            return 403, []
        if seen is None:
            way = self._way(scope, query)
            return (302, _fields({**HEADERS, "location": way})) if way else (401, [_BEARER])
        if query and not _may(seen.session, query):
            return 403, []
        fields = _told(seen.session)
        if self._authentication.is_due(seen):
            fields += _fields(await self._authentication.renewing(scope, seen))
        return 200, fields

    def _way(self, scope: HTTPScope, query: _Query) -> str:
        """Return the URL at which a user signs in for the page that the proxy was asked for.

        Empty where the proxy does not ask for one, or does not tell the page.
        """
        account = query.get("sign_in", [""])[0]
        sent = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = sent.get(b"x-forwarded-host", "")
        if account not in self._sign_ins or not host or not is_navigation(scope):
            return ""
        scheme, uri = sent.get(b"x-forwarded-proto", "https"), sent.get(b"x-forwarded-uri", "/")
        back = quote(f"{scheme}://{host}{escaped(uri)}", safe="")
        return f"{self._public_url}/oauth/{account}/authorize?redirect={back}"


def _query(scope: HTTPScope) -> _Query:
    raw = scope["query_string"]
    return parse_qs(raw.decode("latin-1"), keep_blank_values=True) if raw else {}


def _may(session: Session, query: _Query) -> bool:
    """Tell whether a session is what the proxy asks for.

    One of its accounts, one of its roles, all of its permissions.
    """
    accounts, roles = query.get("account"), query.get("role")
    return (
        (accounts is None or session.account in accounts)
        and (roles is None or not set(roles).isdisjoint(session.roles))
        and set(query.get("permission", ())) <= set(session.permissions)
    )


def _told(session: Session) -> _Fields:
    """Return the headers that tell a service who calls."""
    return [
        (b"x-auth-user", session.person.encode()),
        (b"x-auth-account", session.account.encode()),
        (b"x-auth-tenant", session.tenant.encode()),
        (b"x-auth-open-id", session.open_id.encode()),
        (b"x-auth-union-id", (session.union_id or "").encode()),
        (b"x-auth-roles", ",".join(session.roles).encode()),
        (b"x-auth-permissions", ",".join(session.permissions).encode()),
    ]


def _fields(headers: dict[str, str]) -> _Fields:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
