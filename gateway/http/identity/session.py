"""/session and /sessions: what users see of their own sessions, and how they end them."""

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from gateway.http.api.problems import Problem
from gateway.http.identity.authentication import Authentication, by_cookie
from gateway.http.identity.responses import NO_STORE, empty
from gateway.http.identity.views import (
    SessionEntry,
    SessionView,
    TokenView,
    handle_of,
    session_entry,
    session_view,
)
from gateway.identity.session import Session
from gateway.identity.sessions import Seen

Asked = Request[Any, Any, Any]


class OwnSessions:
    """The sessions of whoever asks."""

    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication
        self._sessions = authentication.sessions

    async def show(self, request: Asked) -> Response[SessionView]:
        """Return who is signed in."""
        seen = await self._seen(request)
        headers = {**NO_STORE, **await self._authentication.renewing(request.scope, seen)}
        return Response(session_view(seen.session), headers=headers)

    async def renew(self, request: Asked) -> Response[TokenView] | Response[None]:
        """Return a new token for an old one; one that came in a cookie goes back in one.

        For a page's scripts are not to have what the cookie keeps from them.
        """
        seen = await self._seen(request)
        opened = await self._authentication.renewed(seen, now=True)
        if opened is None and seen.session.expires_at >= seen.session.ends_at:
            raise Problem(409, "at its end; sign in again")
        if opened is None:
            # It was renewed this very second.
            return empty(HTTP_204_NO_CONTENT)
        if by_cookie(request.scope):
            return empty(
                HTTP_204_NO_CONTENT, {"set-cookie": self._authentication.cookie_of(opened)}
            )
        return Response(TokenView(opened.token, session_view(opened.session)), headers=NO_STORE)

    async def end(self, request: Asked) -> Response[None]:
        """End the one that is asked by."""
        await self._sessions.end([(await self._seen(request)).session.id])
        return self._signed_out()

    async def entries(self, request: Asked) -> Response[list[SessionEntry]]:
        """Return all of them."""
        session, every = await self._own(request)
        return Response([session_entry(one, session.id) for one in every], headers=NO_STORE)

    async def end_all(self, request: Asked) -> Response[None]:
        """End all of them."""
        _, every = await self._own(request)
        await self._sessions.end([one.id for one in every])
        return self._signed_out()

    async def end_one(self, request: Asked, handle: str) -> Response[None]:
        """End one of them."""
        _, every = await self._own(request)
        meant = [one.id for one in every if handle_of(one) == handle]
        if not meant:
            raise Problem(404, "you have no session of this handle")
        await self._sessions.end(meant)
        return empty(HTTP_204_NO_CONTENT)

    async def _seen(self, request: Asked) -> Seen:
        seen = await self._authentication.seen(request.scope)
        if seen is None:
            raise Problem(401, "not signed in", {"www-authenticate": "Bearer"})
        return seen

    async def _own(self, request: Asked) -> tuple[Session, list[Session]]:
        session = (await self._seen(request)).session
        return session, await self._sessions.of([session.person])

    def _signed_out(self) -> Response[None]:
        return empty(HTTP_204_NO_CONTENT, cookies=[self._authentication.cookies.signed_out()])


def session_routes(own: OwnSessions) -> list[HTTPRouteHandler]:
    """Return the routes."""

    @get("/session")
    async def show(request: Asked) -> Response[SessionView]:
        """Tell who is signed in."""
        return await own.show(request)

    @delete("/session", status_code=HTTP_204_NO_CONTENT)
    async def end(request: Asked) -> Response[None]:
        """Sign out."""
        return await own.end(request)

    @post("/session/renew", status_code=HTTP_200_OK)
    async def renew(request: Asked) -> Response[Any]:
        """Give a new token for an old one."""
        return await own.renew(request)

    @get("/sessions")
    async def entries(request: Asked) -> Response[list[SessionEntry]]:
        """List the sessions of who is signed in."""
        return await own.entries(request)

    @delete("/sessions", status_code=HTTP_204_NO_CONTENT)
    async def end_all(request: Asked) -> Response[None]:
        """Sign out everywhere."""
        return await own.end_all(request)

    @delete("/sessions/{handle:str}", status_code=HTTP_204_NO_CONTENT)
    async def end_one(request: Asked) -> Response[None]:
        """Sign out elsewhere."""
        return await own.end_one(request, request.path_params["handle"])

    return [show, end, renew, entries, end_all, end_one]
