"""Signing in to mini programs and mobile apps: a code in, a token out (PROTOCOL 7.5)."""

from hashlib import sha256
from typing import Final

import msgspec

from gateway.identity.apps import App
from gateway.identity.desk import Desk
from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.ports import Secret, SecretStore
from gateway.identity.session import Session
from gateway.identity.sessions import Opened
from gateway.identity.user_tokens import UserTokens, place_of
from gateway.identity.vault import Vault
from gateway.outbound.api import WeChatApi
from gateway.outbound.endpoints.web import PhoneNumber, WebAuthorization, phone_number

SESSION_KEY: Final = "session_key"
PHONE: Final = "phone"

FOR_EVER: Final = 100 * 365 * 86_400.0
"""Seconds: what is kept until its user is erased."""

KEY_SECONDS: Final = 30 * 86_400.0
"""How long a session key is kept; when WeChat ends one is not told."""

MAX_CODE: Final = 512


class AppSignIn:
    """Signs users of one app in."""

    def __init__(
        self,
        app: App,
        web: WebAuthorization,
        desk: Desk,
        tokens: UserTokens,
        secrets: SecretStore,
        vault: Vault,
        api: WeChatApi,
    ) -> None:
        """``api`` is the app's own, with its token: for phone numbers."""
        self.app = app
        self._web = web
        self._desk = desk
        self._tokens = tokens
        self._secrets = secrets
        self._vault = vault
        self._api = api

    async def sign_in(self, code: str) -> Opened:
        """Return the session of the user whose app brings a code.

        Whoever brings it again within a minute gets the same. Raises SignInFailed, and StoreDown.
        """
        key = sha256(f"{self.app.app_id} {code}".encode("utf-8", "replace")).hexdigest()
        return await self._desk.once(self.app, key, code, lambda: self._exchange(code))

    async def phone(self, session: Session, code: str) -> PhoneNumber:
        """Return the phone number that a user let their mini program have, and keep it sealed.

        Raises ApiError: UserRejected (40029) where the code is wrong or was used; SignInFailed
        where the user was erased meanwhile.
        """
        user = AppUser(session.app_id, session.open_id)
        if not await self._desk.knows(user):
            raise SignInFailed(SignInProblem.STATE)
        number = await phone_number(self._api, code)
        await self._keep(user, PHONE, msgspec.json.encode(number), FOR_EVER)
        if not await self._desk.knows(user):
            # Erased meanwhile: nobody would find it there.
            await self._secrets.keep_secret(Secret(user, PHONE, b"", 0.0))
            raise SignInFailed(SignInProblem.STATE)
        return number

    async def _exchange(self, code: str) -> Opened | SignInProblem:
        if self.app.platform is Platform.MINI_PROGRAM:
            return await self._exchange_js_code(code)
        grant = await self._web.exchange(code)
        user = AppUser(self.app.app_id, grant.open_id)
        await self._tokens.keep(user, grant)
        return await self._enter(user, grant.union_id)

    async def _exchange_js_code(self, code: str) -> Opened | SignInProblem:
        grant = await self._web.mini_program(code)
        user = AppUser(self.app.app_id, grant.open_id)
        await self._keep(user, SESSION_KEY, grant.session_key.encode(), KEY_SECONDS)
        return await self._enter(user, grant.union_id)

    async def _enter(self, user: AppUser, union_id: str | None) -> Opened | SignInProblem:
        sighting = Sighting(user, self.app.platform, self._desk.clock(), union_id)
        return await self._desk.enter(self.app, sighting)

    async def _keep(self, user: AppUser, kind: str, plain: bytes, seconds: float) -> None:
        sealed = self._vault.seal(plain, place_of(kind, user))
        await self._secrets.keep_secret(Secret(user, kind, sealed, self._desk.clock() + seconds))
