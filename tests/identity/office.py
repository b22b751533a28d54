"""Signing in at a simulated WeChat, over a store: what a process of the gateway has of it."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.adapters.memory_tokens import MemoryTokens
from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.adapters.sqlite_sign_ins import SqliteSignIns
from gateway.adapters.wechat_api import Phases, WeChatTransport
from gateway.identity.app_sign_in import AppSignIn
from gateway.identity.apps import App
from gateway.identity.desk import Desk
from gateway.identity.directory import Directory
from gateway.identity.forgotten import Forgotten
from gateway.identity.keys import key_ring
from gateway.identity.people import Platform
from gateway.identity.session_tokens import SessionTokens
from gateway.identity.sessions import Lifetimes, Roles, Sessions
from gateway.identity.states import States
from gateway.identity.user_tokens import UserTokens
from gateway.identity.vault import Vault
from gateway.identity.web_sign_in import SignedIn, WebSignIn
from gateway.outbound.api import Retries, WeChatApi
from gateway.outbound.credentials import Credentials, StableToken
from gateway.outbound.endpoints.web import WebAuthorization
from gateway.outbound.jobs import job_id
from gateway.outbound.tokens import Tokens
from tests.simulator.apps import MINI, MOBILE, OFFICIAL, WEBSITE, Apps, play, secret

PAGE: Final = "https://shop.example/page"
SECRET: Final = "s" * 40
PUBLIC_URL: Final = "https://wx.shop.example"
LIFETIMES: Final = Lifetimes(7200, 2_592_000, 1.0)
ROLES: Final = Roles({"staff": ("orders:read",), "admin": ("orders:read", "orders:write")})
NO_RETRIES: Final = Retries(tries=1)


@dataclass
class Office:
    """One process's side of it; several over one folder are several processes."""

    apps: Apps
    folder: Path
    lifetimes: Lifetimes = LIFETIMES
    transport: WeChatTransport = field(init=False)

    def __post_init__(self) -> None:
        clock, path = self.apps.clock, self.folder / "g.db"
        self.transport = WeChatTransport(self.apps.url, Phases(1.0, 2.0), connections=64)
        self.store = SqliteIdentities(
            path, timeout=5, new_id=lambda: job_id(clock(), os.urandom(10))
        )
        self.session_store = SqliteSessions(path, timeout=5, clock=clock)
        self.sign_ins = SqliteSignIns(path, timeout=5, clock=clock)
        self.tokens = SessionTokens(key_ring((SECRET,), "session"), PUBLIC_URL, clock)
        self.sessions = Sessions(
            self.session_store, self.tokens, self.lifetimes, ROLES, clock=clock
        )
        self.forgotten = Forgotten(self.store, clock)
        self.directory = Directory(self.store, self.sessions, ROLES, self.forgotten, clock=clock)
        self.vault = Vault(key_ring((SECRET,), "vault"), os.urandom)
        self.user_tokens = UserTokens(self.store, self.vault, clock)
        self.desk = Desk(self.directory, self.sessions, self.sign_ins, self.vault, clock)

    def web(self, app_id: str = OFFICIAL) -> WebSignIn:
        """Return what signs users in on the web."""
        platform = Platform(self.apps.account(app_id).platform)
        hosts = frozenset(("shop.example",))
        app = App("main", app_id, platform, "tenant-1", hosts, self.apps.url)
        states = States(key_ring((SECRET,), "state"), os.urandom, self.apps.clock)
        return WebSignIn(
            app, self.authorization(app_id), PUBLIC_URL, self.desk, states, self.user_tokens
        )

    def by_code(self, app_id: str = MINI) -> AppSignIn:
        """Return what signs the users of an app in."""
        app = App("mini", app_id, Platform(self.apps.account(app_id).platform), "tenant-1")
        credentials = Credentials(app_id, secret(app_id))
        source = StableToken(WeChatApi(self.transport, None), credentials, self.apps.clock)
        tokens = Tokens(app_id, source, MemoryTokens(), clock=self.apps.clock)
        return AppSignIn(
            app,
            self.authorization(app_id),
            self.desk,
            self.user_tokens,
            self.store,
            self.vault,
            WeChatApi(self.transport, tokens),
        )

    def authorization(self, app_id: str = OFFICIAL) -> WebAuthorization:
        """Return what exchanges codes."""
        bare = WeChatApi(self.transport, None, NO_RETRIES)
        return WebAuthorization(bare, Credentials(app_id, secret(app_id)))

    async def sign_in(self, sign_in: WebSignIn, scope: str = "", person: str = "") -> SignedIn:
        """Sign somebody in as a browser does who agrees."""
        leave = sign_in.begin(scope, PAGE)
        asked = parse_qs(urlsplit(leave.url).query)["scope"][0]
        given = {"scope": asked} | ({"person": person} if person else {})
        code = await self.apps.code(sign_in.app.app_id, **given)
        return await sign_in.finish(code, *leave.state)

    def calls(self, path: str) -> int:
        """Return how often WeChat was called there."""
        return self.apps.server.calls.get(path, 0)

    async def close(self) -> None:
        """Let go of everything."""
        await self.transport.close()
        for store in (self.sign_ins, self.session_store, self.store):
            await store.close()


def visit(
    folder: Path,
    scenario: Callable[..., Awaitable[None]],
    processes: int = 1,
    lifetimes: Lifetimes = LIFETIMES,
) -> None:
    """Run a scenario with so many processes' sides of one gateway, at a world of its own."""

    async def run(apps: Apps) -> None:
        offices = [Office(apps, folder, lifetimes) for _ in range(processes)]
        try:
            await scenario(*offices)
        finally:
            for office in offices:
                await office.close()

    play(run)


__all__ = ["MINI", "MOBILE", "OFFICIAL", "WEBSITE"]
