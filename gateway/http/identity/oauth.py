"""/oauth/{account}/authorize and /callback: to WeChat's page, and back with a session."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_302_FOUND, HTTP_401_UNAUTHORIZED

from gateway.errors import StoreDown
from gateway.http.arrivals import is_traced, trace_anybody
from gateway.http.identity.cookies import Cookies, sign_in_name
from gateway.http.identity.navigation import escaped, is_navigation
from gateway.http.identity.pages import HEADERS, page
from gateway.http.identity.responses import empty
from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.once import ANSWER_SECONDS
from gateway.identity.states import Begun
from gateway.identity.web_sign_in import WebSignIn
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.identity")

Asked = Request[Any, Any, Any]


def oauth_routes(
    sign_ins: Mapping[str, WebSignIn], cookies: Cookies, seconds: float
) -> list[HTTPRouteHandler]:
    """Return the routes; ``seconds`` is how long a session is good for that is not used."""

    @get("/oauth/{account:str}/authorize", status_code=HTTP_302_FOUND, sync_to_thread=False)
    def authorize(request: Asked) -> Response[Any]:
        """Send a browser to WeChat's page."""
        sign_in = sign_ins.get(request.path_params["account"])
        if sign_in is None:
            return _nobody()
        query = request.query_params
        redirect = query.get("redirect") or _asked_for(request)
        if "redirect" not in query and redirect and not is_navigation(request.scope):
            # What a page asks for is not to leave a cookie each time.
            return empty(HTTP_401_UNAUTHORIZED)
        try:
            leave = sign_in.begin(query.get("scope", ""), redirect)
        except SignInFailed as failed:
            return page(failed.problem, said=failed.said)
        trace_anybody(sign_in.app.name)
        value, cookie = leave.state
        return _lead(leave.url, cookies.sign_in(value, cookie, _path(sign_in)))

    @get("/oauth/{account:str}/callback", status_code=HTTP_302_FOUND)
    async def callback(request: Asked) -> Response[Any]:
        """Take a browser back, and sign its user in."""
        sign_in = sign_ins.get(request.path_params["account"])
        if sign_in is None:
            return _nobody()
        code, state = (request.query_params.get(name, "") for name in ("code", "state"))
        cookie = request.cookies.get(sign_in_name(state), "")
        if is_traced() and sign_in.begun(state, cookie) is not None:
            trace_anybody(sign_in.app.name)
        try:
            signed_in = await sign_in.finish(code, state, cookie)
        except SignInFailed as failed:
            return page(failed.problem, again=_again(sign_in, sign_in.begun(state, cookie)))
        except StoreDown as down:
            _log.error("nobody can sign in", account=sign_in.app.name, error=str(down))
            return page(SignInProblem.BUSY, again=_again(sign_in, sign_in.begun(state, cookie)))
        done = cookies.sign_in(state, cookie, _path(sign_in), ANSWER_SECONDS)
        return _lead(signed_in.redirect, cookies.signed_in(signed_in.opened.token, seconds), done)

    return [authorize, callback]


def _path(sign_in: WebSignIn) -> str:
    """Return where a sign-in's cookie is sent to."""
    return f"/oauth/{sign_in.app.name}"


def _lead(url: str, *cookies: Cookie) -> Response[Any]:
    return empty(HTTP_302_FOUND, {**HEADERS, "location": url}, cookies)


def _asked_for(request: Asked) -> str:
    """Return the page that a reverse proxy was asked for, which sent its user here.

    Whoever sends these headers themselves gets no further: the host has to be the account's.
    """
    headers = request.headers
    host, uri = headers.get("x-forwarded-host", ""), headers.get("x-forwarded-uri", "")
    scheme = headers.get("x-forwarded-proto", "https")
    return f"{scheme}://{host}{escaped(uri)}" if host else ""


def _again(sign_in: WebSignIn, begun: Begun | None) -> str | None:
    """Return the URL at which a sign-in begins anew; None where nobody knows where it led."""
    if begun is None:
        return None
    back = quote(begun.redirect, safe="")
    return f"/oauth/{sign_in.app.name}/authorize?scope={begun.scope}&redirect={back}"


def _nobody() -> Response[Any]:
    return Response("no account of this name has sign_in_hosts\n", status_code=404)
