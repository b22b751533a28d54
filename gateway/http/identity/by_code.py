"""/miniprogram/{account} and /app/{account}: apps that bring a code, and get a session's token."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK

from gateway.errors import ApiError, PushRefused, UserRejected
from gateway.http.api.asking import Bodies
from gateway.http.api.problems import RETRY_AFTER, Problem
from gateway.http.arrivals import trace_anybody
from gateway.http.identity.authentication import Authentication
from gateway.http.identity.responses import NO_STORE
from gateway.http.identity.views import TokenView, session_view
from gateway.identity.app_sign_in import MAX_CODE, AppSignIn
from gateway.identity.failures import SignInFailed, SignInProblem, problem_of
from gateway.identity.people import Platform
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.identity")

Asked = Request[Any, Any, Any]

_TOLD: Final = {
    SignInProblem.CODE: (400, "code: WeChat does not take it, or not again; get another one"),
    SignInProblem.STATE: (400, "code: was used already; get another one"),
    SignInProblem.BLOCKED: (403, "WeChat does not let this user sign in"),
    SignInProblem.SNAPSHOT: (403, "a preview's user is nobody"),
    SignInProblem.BUSY: (503, "WeChat does not answer at the moment; try again"),
    SignInProblem.SETUP: (503, "the account is not set up for it; the gateway's log says why"),
}


class PhoneView(msgspec.Struct, frozen=True):
    """A user's phone number."""

    number: str
    """With the country's code where it is not China's."""
    pure: str
    country: str


class SignInsByCode:
    """Signs the users of apps in."""

    def __init__(self, sign_ins: Mapping[str, AppSignIn], authentication: Authentication) -> None:
        """``sign_ins`` by the accounts' names."""
        self._sign_ins = sign_ins
        self._authentication = authentication
        self._bodies = Bodies()

    async def sign_in(self, request: Asked, platform: Platform) -> Response[TokenView]:
        """Return a session's token for the code of a user's app."""
        one = self._found(request, platform)
        code = await self._code(request)
        trace_anybody(one.app.name)
        try:
            opened = await one.sign_in(code)
        except SignInFailed as failed:
            raise _told(failed.problem) from None
        return Response(TokenView(opened.token, session_view(opened.session)), headers=NO_STORE)

    async def phone(self, request: Asked) -> Response[PhoneView]:
        """Return the phone number that who is signed in lets their mini program have."""
        one = self._found(request, Platform.MINI_PROGRAM)
        seen = await self._authentication.seen(request.scope)
        if seen is None or seen.session.account != one.app.name:
            raise Problem(401, "not signed in to this account", {"www-authenticate": "Bearer"})
        code = await self._code(request)
        try:
            number = await one.phone(seen.session, code)
        except SignInFailed:
            raise Problem(401, "not signed in", {"www-authenticate": "Bearer"}) from None
        except UserRejected:
            raise _told(SignInProblem.CODE) from None
        except ApiError as error:
            _log.error("no phone number", account=one.app.name, error=str(error))
            raise _told(problem_of(error)) from None
        view = PhoneView(number.number, number.pure, number.country)
        return Response(view, headers=NO_STORE)

    def _found(self, request: Asked, platform: Platform) -> AppSignIn:
        sign_in = self._sign_ins.get(request.path_params["account"])
        if sign_in is None or sign_in.app.platform is not platform:
            raise Problem(404, f"no {platform} of this name has an app_secret")
        return sign_in

    async def _code(self, request: Asked) -> str:
        code = (await self._bodies.read(request)).get("code")
        if not isinstance(code, str) or not 0 < len(code) <= MAX_CODE:
            raise PushRefused("code: missing; give what WeChat gave the app")
        return code


def by_code_routes(apps: SignInsByCode) -> list[HTTPRouteHandler]:
    """Return the routes."""

    @post("/miniprogram/{account:str}/login", status_code=HTTP_200_OK)
    async def mini_program(request: Asked) -> Response[TokenView]:
        """Sign in by the code of ``wx.login``."""
        return await apps.sign_in(request, Platform.MINI_PROGRAM)

    @post("/app/{account:str}/login", status_code=HTTP_200_OK)
    async def mobile_app(request: Asked) -> Response[TokenView]:
        """Sign in by the code that WeChat's SDK gave a mobile app."""
        return await apps.sign_in(request, Platform.MOBILE_APP)

    @post("/miniprogram/{account:str}/phone", status_code=HTTP_200_OK)
    async def phone(request: Asked) -> Response[PhoneView]:
        """Give the phone number for the code of ``getPhoneNumber``, of who is signed in."""
        return await apps.phone(request)

    return [mini_program, mobile_app, phone]


def _told(problem: SignInProblem) -> Problem:
    status, detail = _TOLD.get(problem, _TOLD[SignInProblem.CODE])
    return Problem(status, detail, RETRY_AFTER if status == 503 else None)
