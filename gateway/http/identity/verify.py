"""GET /session/verify: a reverse proxy asks whether a request may pass, and who it is from.

For nginx's auth_request and Traefik's ForwardAuth: 200 lets it pass, and tells who calls in
headers; 401 and 403 do not. A store that is down answers 503, which no proxy lets pass.
"""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_302_FOUND,
    HTTP_401_UNAUTHORIZED,
    HTTP_403_FORBIDDEN,
)

from gateway.http.identity.authentication import Authentication
from gateway.http.identity.pages import HEADERS
from gateway.http.identity.responses import empty
from gateway.identity.session import Session

Asked = Request[Any, Any, Any]


def verify_route(
    authentication: Authentication, sign_ins: Collection[str], public_url: str
) -> HTTPRouteHandler:
    """Return the route; ``sign_ins`` are the accounts whose users can be sent to sign in."""

    @get("/session/verify")
    async def verify(request: Asked) -> Response[None]:
        """Tell whether to let a request pass, and who it is from."""
        seen = await authentication.seen(request)
        if seen is None:
            account = request.query_params.get("sign_in", "")
            way = _way(request, account, public_url) if account in sign_ins else ""
            if way:
                return empty(HTTP_302_FOUND, {**HEADERS, "location": way})
            return empty(HTTP_401_UNAUTHORIZED, {"www-authenticate": "Bearer"})
        if request.query_params and not _may(request, seen.session):
            return empty(HTTP_403_FORBIDDEN)
        headers = {**_told(seen.session), **await authentication.renewing(request, seen)}
        return empty(HTTP_200_OK, headers)

    return verify


def _may(request: Asked, session: Session) -> bool:
    """Tell whether a session is what the proxy asks for.

    One of its accounts, one of its roles, all of its permissions.
    """
    query = request.query_params
    accounts, roles = query.getall("account", []), query.getall("role", [])
    return (
        (not accounts or session.account in accounts)
        and (not roles or not set(roles).isdisjoint(session.roles))
        and set(query.getall("permission", [])) <= set(session.permissions)
    )


def _told(session: Session) -> dict[str, str]:
    """Return the headers that tell a service who calls."""
    return {
        "x-auth-user": session.person,
        "x-auth-account": session.account,
        "x-auth-tenant": session.tenant,
        "x-auth-open-id": session.open_id,
        "x-auth-union-id": session.union_id or "",
        "x-auth-roles": ",".join(session.roles),
        "x-auth-permissions": ",".join(session.permissions),
    }


def _way(request: Asked, account: str, public_url: str) -> str:
    """Return the URL at which a user signs in for the page that the proxy was asked for."""
    host = request.headers.get("x-forwarded-host", "")
    if not host:
        return ""
    scheme = request.headers.get("x-forwarded-proto", "https")
    back = quote(f"{scheme}://{host}{request.headers.get('x-forwarded-uri', '/')}", safe="")
    return f"{public_url}/oauth/{account}/authorize?redirect={back}"
