"""The stores of people and sessions in a SQLite file, and somebody in them, for the tests."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.identity.apps import App
from gateway.identity.keys import key_ring
from gateway.identity.people import AppUser, Consent, Person, Platform, Sighting
from gateway.identity.session_tokens import SessionTokens
from gateway.identity.sessions import Lifetimes, Roles, Sessions
from gateway.identity.vault import Vault

SHOP: Final = App("shop", "wx00000000000000a1", Platform.OFFICIAL_ACCOUNT, "shop")
MINI: Final = App("mini", "wx00000000000000b1", Platform.MINI_PROGRAM, "mini")
GONE: Final = App("gone", "wx00000000000000f1", Platform.WEBSITE, "gone")
"""Of which the settings have no account any more."""

ACCOUNTS: Final = {SHOP.app_id: ["shop", "outlet"], MINI.app_id: ["mini"]}
"""Two accounts share an app id."""

IN_SHOP: Final = AppUser(SHOP.app_id, "oShopper00000000000000000001")
IN_MINI: Final = AppUser(MINI.app_id, "oMiniature000000000000000001")
IN_GONE: Final = AppUser(GONE.app_id, "oVisitor00000000000000000001")
OTHER: Final = AppUser(SHOP.app_id, "oSomebodyElse000000000000001")
UNION: Final = "oUnion000000000000000000001"
NAME: Final = "小明🎈"


@dataclass
class Keeping:
    """What a test has."""

    folder: Path
    store: SqliteIdentities
    sessions: Sessions
    vault: Vault

    async def somebody(self) -> Person:
        """Return somebody who has a bit of everything."""
        now = time.time()
        await self.store.see([Sighting(OTHER, SHOP.platform, now - 5)])
        await self.store.see([Sighting(IN_MINI, MINI.platform, now - 9)])
        await self.store.see(
            [
                Sighting(IN_SHOP, SHOP.platform, now - 8, UNION, subscribed=True, nickname=NAME),
                Sighting(IN_GONE, GONE.platform, now - 7, UNION),
            ]
        )
        # By now it is known that both were one.
        await self.store.see([Sighting(IN_MINI, MINI.platform, now - 6, UNION)])
        await self.store.answer([Consent(IN_SHOP, "T1", accepted=True, at=now - 4)])
        person = await self.store.bearer(UNION)
        assert person is not None
        await self.store.tag(person.id, ["vip"], [])
        await self.store.grant(person.id, ["staff"], [])
        person = await self.store.bearer(UNION)
        assert person is not None
        for app, user in ((SHOP, IN_SHOP), (MINI, IN_MINI)):
            identity = next(one for one in person.identities if one.user == user)
            await self.sessions.open(app, person, identity)
        return person


@asynccontextmanager
async def keeping(folder: Path) -> AsyncIterator[Keeping]:
    """Open the stores."""
    ids = count(1)
    path = folder / "g.db"
    store = SqliteIdentities(path, timeout=5, new_id=lambda: f"person-{next(ids)}")
    session_store = SqliteSessions(path, timeout=5)
    secrets = ("s" * 32,)
    sessions = Sessions(
        session_store,
        SessionTokens(key_ring(secrets, "session"), "test", time.time),
        Lifetimes(600, 6000, 0),
        Roles({"staff": ("orders:read",)}),
        clock=time.time,
    )
    try:
        yield Keeping(folder, store, sessions, Vault(key_ring(secrets, "vault"), os.urandom))
    finally:
        await session_store.close()
        await store.close()


def play(folder: Path, scenario: Callable[[Keeping], Awaitable[None]]) -> None:
    """Run a scenario."""

    async def run() -> None:
        async with keeping(folder) as one:
            await asyncio.wait_for(scenario(one), 60)

    asyncio.run(run())
