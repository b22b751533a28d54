"""A simulated platform for tests: its API served on a free port, its clock the test's."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from gateway.adapters.wechat_api import Phases, WeChatTransport
from gateway.outbound.api import Retries, WeChatApi
from gateway.outbound.credentials import Credentials, StableToken
from gateway.outbound.ports import TokenStore
from gateway.outbound.tokens import Tokens
from gateway.simulator.api.faults import Faults
from gateway.simulator.api.quotas import Quotas
from gateway.simulator.api.server import ApiServer
from gateway.simulator.api.tokens import AccountTokens
from gateway.simulator.api.world import Account, Receipt, Template, World

APP_ID = "wx1234567890abcdef"
SECRET = "s3cr3t-of-the-app"
USER = "oUser000000000000000000000001"
TEMPLATE = Template("T1", "发货提醒", "{{thing1.DATA}}\n金额: {{amount2.DATA}}")


@dataclass
class Clock:
    """Unix seconds that a test moves on; they pass by themselves too if it is told so."""

    offset: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.time() + self.offset


@dataclass
class Desk:
    """What a test has of the platform."""

    world: World
    account: Account
    server: ApiServer
    faults: Faults
    url: str
    clock: Clock
    receipts: list[Receipt]

    def transport(self) -> WeChatTransport:
        """Return a way to it."""
        return WeChatTransport(self.url, Phases(1.0, 2.0), connections=64)

    def api(
        self, store: TokenStore, transport: WeChatTransport, secret: str = SECRET
    ) -> tuple[WeChatApi, Tokens]:
        """Return the account's API and its tokens, as a process has them."""
        quick = Retries(tries=3, base=0.001, cap=0.002)
        bare = WeChatApi(transport, None, quick)
        source = StableToken(bare, Credentials(APP_ID, secret), self.clock)
        tokens = Tokens(APP_ID, source, store, clock=self.clock)
        return WeChatApi(transport, tokens, quick), tokens


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """Serve a platform with one account."""
    clock, receipts = Clock(), list[Receipt]()
    numbers = count(1)
    tokens = AccountTokens(clock, lambda: f"token-{next(numbers)}-{'x' * 100}")
    account = Account(APP_ID, SECRET, tokens, Quotas(clock))
    account.templates[TEMPLATE.id] = replace(TEMPLATE)
    world = World(clock, [account], receipts.append)
    faults = Faults(random.Random(7).random)  # noqa: S311  # the same each time
    server = ApiServer(world, faults)
    async with server.serving("127.0.0.1", 0) as port:
        yield Desk(world, account, server, faults, f"http://127.0.0.1:{port}", clock, receipts)
