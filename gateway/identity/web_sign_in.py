"""Signing in on a web page: to WeChat's page, and back with a code (PROTOCOL 7.5)."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.errors import ApiError
from gateway.identity.apps import App
from gateway.identity.desk import Desk
from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.redirects import RedirectRefused, check_redirect
from gateway.identity.sessions import Opened
from gateway.identity.states import Begun, State, States
from gateway.identity.user_tokens import SignInAgain, UserTokens
from gateway.outbound.endpoints.web import UserGrant, UserProfile, WebAuthorization
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.identity")

BASE: Final = "snsapi_base"
USERINFO: Final = "snsapi_userinfo"
LOGIN: Final = "snsapi_login"

SCOPES: Final[Mapping[Platform, tuple[str, ...]]] = {
    Platform.OFFICIAL_ACCOUNT: (BASE, USERINFO),
    Platform.WEBSITE: (LOGIN,),
}
"""What each kind of app may ask for; the first is asked for where nothing is said."""

_PAGES: Final[Mapping[Platform, str]] = {
    Platform.OFFICIAL_ACCOUNT: "/connect/oauth2/authorize",
    Platform.WEBSITE: "/connect/qrconnect",
}


class Leave(NamedTuple):
    """Where a browser is sent to sign in, and what it keeps until it is back."""

    url: str
    state: State


class SignedIn(NamedTuple):
    """A sign-in that went well."""

    opened: Opened
    redirect: str


class WebSignIn:
    """Signs users of one app in."""

    def __init__(
        self,
        app: App,
        web: WebAuthorization,
        public_url: str,
        desk: Desk,
        states: States,
        tokens: UserTokens,
    ) -> None:
        """``public_url`` is where browsers find this gateway."""
        self.app = app
        self._web = web
        self._back = f"{public_url}/oauth/{app.name}/callback"
        self._desk = desk
        self._states = states
        self._tokens = tokens

    def begin(self, scope: str, redirect: str) -> Leave:
        """Return the way to WeChat's page; raise SignInFailed."""
        scopes = SCOPES.get(self.app.platform, ())
        scope = scope or next(iter(scopes), "")
        if scope not in scopes:
            known = " or ".join(scopes)
            raise SignInFailed(SignInProblem.SCOPE, f"scope: give {known}, or none")
        try:
            redirect = check_redirect(redirect, self.app.sign_in_hosts)
        except RedirectRefused as wrong:
            raise SignInFailed(SignInProblem.REDIRECT, f"redirect: {wrong}") from None
        state = self._states.new(self.app.name, scope, redirect)
        return Leave(self._page(scope, state.value), state)

    async def finish(self, code: str, state: str, cookie: str) -> SignedIn:
        """Return the session of the user who came back with a code.

        Whoever comes back again with the same one within a minute gets the same. Raises
        SignInFailed, and StoreDown.
        """
        begun = self.begun(state, cookie)
        if begun is None:
            raise SignInFailed(SignInProblem.STATE)
        if not code:
            raise SignInFailed(SignInProblem.REFUSED)
        opened = await self._desk.once(self.app, state, code, lambda: self._exchange(code))
        return SignedIn(opened, begun.redirect)

    def begun(self, state: str, cookie: str) -> Begun | None:
        """Return the sign-in that this browser began with a state; None where it began none."""
        return self._states.open(state, self.app.name, cookie)

    async def _exchange(self, code: str) -> Opened | SignInProblem:
        grant = await self._web.exchange(code)
        if grant.is_snapshot:
            return SignInProblem.SNAPSHOT
        user = AppUser(self.app.app_id, grant.open_id)
        profile = await self._profile(user, grant)
        union_id = grant.union_id or (profile.union_id if profile is not None else None)
        sighting = Sighting(
            user,
            self.app.platform,
            self._desk.clock(),
            union_id,
            nickname=profile.nickname if profile is not None else None,
            avatar=profile.avatar if profile is not None else None,
        )
        return await self._desk.enter(self.app, sighting)

    async def _profile(self, user: AppUser, grant: UserGrant) -> UserProfile | None:
        """Return what the user shows; None where they granted less, or WeChat does not tell."""
        await self._tokens.keep(user, grant)
        if not {USERINFO, LOGIN} & set(grant.scope.split(",")):
            return None
        try:
            return await self._tokens.profile(self._web, user)
        except (ApiError, SignInAgain) as wrong:
            _log.warning("signed in without a profile", account=self.app.name, error=str(wrong))
            return None

    def _page(self, scope: str, state: str) -> str:
        # The platform checks this order (PROTOCOL 7.5).
        back = quote(self._back, safe="")
        return (
            f"{self.app.authorize_url}{_PAGES[self.app.platform]}?appid={self.app.app_id}"
            f"&redirect_uri={back}&response_type=code&scope={scope}&state={state}#wechat_redirect"
        )
