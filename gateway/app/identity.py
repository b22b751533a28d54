"""Who users are, in one process: stores, keys and services of identity, put together."""

import asyncio
import os
import time
from typing import Final

from gateway.app.api import Apis
from gateway.app.stores import make_identity_store, make_session_store, make_sign_in_store
from gateway.errors import SettingsError, StoreDown, place_of
from gateway.identity.app_sign_in import AppSignIn
from gateway.identity.apps import App
from gateway.identity.desk import Desk
from gateway.identity.directory import Directory
from gateway.identity.forgotten import Forgotten
from gateway.identity.keys import key_ring
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.session_tokens import SessionTokens
from gateway.identity.sessions import Lifetimes, Roles, Sessions
from gateway.identity.states import States
from gateway.identity.user_tokens import SignInAgain, UserTokens
from gateway.identity.vault import Vault
from gateway.identity.web_sign_in import WebSignIn
from gateway.settings import Settings
from gateway.settings.sections import AccountSettings
from gateway.telemetry.logs import get_logger

NOWHERE: Final = "wechat-gateway"
"""Whom session tokens are good for, where the gateway has no public URL."""

TIDY_SECONDS: Final = 600.0
"""Between two looks for what has expired."""

_log = get_logger("gateway.identity")

_BY_CODE: Final = (Platform.MINI_PROGRAM, Platform.MOBILE_APP)


class Identities:
    """All of it, started and stopped as one."""

    def __init__(self, settings: Settings, apis: Apis) -> None:
        """Raises SettingsError where there is no secret."""
        secrets = _secrets(settings)
        self.metrics = apis.metrics
        given = settings.identity
        self.store = make_identity_store(settings)
        self.roles = Roles(given.roles)
        self.apps = {name: make_app(name, one) for name, one in settings.accounts.items()}
        self._session_store = make_session_store(settings)
        self.sessions = Sessions(
            self._session_store,
            SessionTokens(key_ring(secrets, "session"), given.public_url or NOWHERE, time.time),
            Lifetimes(given.session_seconds, given.session_max_seconds, given.cache_seconds),
            self.roles,
            clock=time.time,
        )
        self.forgotten = Forgotten(self.store, time.time)
        self.directory = Directory(
            self.store, self.sessions, self.roles, self.forgotten, clock=time.time
        )
        self._sign_ins = make_sign_in_store(settings)
        self.vault = Vault(key_ring(secrets, "vault"), os.urandom)
        self.tokens = UserTokens(self.store, self.vault, time.time)
        desk = Desk(
            self.directory, self.sessions, self._sign_ins, self.vault, time.time, apis.metrics
        )
        states = States(key_ring(secrets, "state"), os.urandom, time.time)
        self.web = {
            name: WebSignIn(
                app, apis.of(name).web, given.public_url or "", desk, states, self.tokens
            )
            for name, app in self.apps.items()
            if app.sign_in_hosts
        }
        """What signs users of web pages in, by the account's name."""
        self.by_code = {
            name: AppSignIn(
                app,
                apis.of(name).web,
                desk,
                self.tokens,
                self.store,
                self.vault,
                apis.of(name).api,
            )
            for name, app in self.apps.items()
            if app.platform in _BY_CODE and settings.accounts[name].app_secret is not None
        }
        """What signs users of apps in, by the account's name."""
        self._apis = apis
        self._running: list[asyncio.Task[None]] = []

    async def refresh(self, account: str, user: AppUser) -> None:
        """Ask WeChat for a user's name and picture; raise SignInAgain, ApiError and StoreDown."""
        app = self.apps[account]
        if account not in self.web and account not in self.by_code:
            raise SignInAgain
        # What happens while WeChat answers is newer.
        at = time.time()
        profile = await self.tokens.profile(self._apis.of(account).web, user)
        seen = Sighting(
            user,
            app.platform,
            at,
            profile.union_id,
            nickname=profile.nickname,
            avatar=profile.avatar,
            active=False,
        )
        await self.directory.take([seen])

    async def start(self) -> None:
        """Begin to keep what is learned of people, and to forget what is good for nothing."""
        self._running = [
            asyncio.create_task(self.directory.run()),
            asyncio.create_task(self._tidy()),
        ]

    async def stop(self) -> None:
        """Keep what was learned last, and let go of the stores."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self.directory.close()
        await self._sign_ins.close()
        await self._session_store.close()
        await self.store.close()

    async def _tidy(self) -> None:
        """Remove sessions and users' secrets whose time is over, again and again."""
        while True:
            try:
                await self.sessions.prune()
                await self.store.prune_secrets(time.time())
                await self._sign_ins.prune()
            except StoreDown as down:
                _log.warning("what has expired stays for now", error=str(down))
            except Exception as error:
                # Not known to happen; expired sessions would stay in the store for good.
                name, place = type(error).__name__, place_of(error)
                _log.critical("what has expired stays", error=name, at=place)
            await asyncio.sleep(TIDY_SECONDS)


def make_app(name: str, given: AccountSettings) -> App:
    """Return an account as those see it who sign in to it."""
    return App(
        name,
        given.app_id,
        Platform(given.platform),
        given.tenant or name,
        frozenset(given.sign_in_hosts),
        given.authorize_url,
    )


def _secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secret, and the one before it; raise SettingsError where there is none."""
    given = settings.identity
    if given.secret is None:
        raise SettingsError(
            "identity.secret: missing; `openssl rand -hex 32` makes one, and without it nobody is "
            "known"
        )
    return tuple(
        one.get_secret_value() for one in (given.secret, given.previous_secret) if one is not None
    )
