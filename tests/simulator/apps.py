"""A world with an app of each platform, served; and a browser that sees its pages."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
from yarl import URL

from gateway.simulator.api.authorisation import AUTHORIZE
from gateway.simulator.api.faults import Faults
from gateway.simulator.api.quotas import Quotas
from gateway.simulator.api.server import ApiServer
from gateway.simulator.api.tokens import AccountTokens
from gateway.simulator.api.world import Account, Platform, World
from tests.outbound.desk import Clock

OFFICIAL: Final = "wx00000000000000a1"
OTHER: Final = "wx00000000000000a2"
MINI: Final = "wx00000000000000b1"
MOBILE: Final = "wx00000000000000c1"
WEBSITE: Final = "wx00000000000000d1"

PLATFORMS: Final[dict[str, Platform]] = {
    OFFICIAL: "official_account",
    OTHER: "official_account",
    MINI: "mini_program",
    MOBILE: "mobile_app",
    WEBSITE: "website",
}

BACK: Final = "https://shop.example/login"
"""Where the apps want their codes."""


@dataclass
class Got:
    """A response."""

    status: int
    body: bytes
    headers: Any

    @property
    def told(self) -> dict[str, Any]:
        """What its JSON says."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> int:
        """Its errcode."""
        return int(self.told.get("errcode", 0))

    @property
    def brought(self) -> dict[str, list[str]]:
        """What the address has in its query that a browser is sent to."""
        assert self.status == 302
        return parse_qs(urlsplit(self.headers["Location"]).query, keep_blank_values=True)


@dataclass
class Apps:
    """What a test has of the world."""

    world: World
    faults: Faults
    server: ApiServer
    clock: Clock
    url: str
    session: aiohttp.ClientSession

    def account(self, app_id: str = OFFICIAL) -> Account:
        """Return an app."""
        return self.world.known(app_id)

    async def get(self, path: str, **query: str) -> Got:
        """Ask an endpoint."""
        async with self.session.get(self.url + path, params=query) as got:
            return Got(got.status, await got.read(), got.headers)

    async def post(self, path: str, body: object) -> Got:
        """Send a body."""
        raw = json.dumps(body, ensure_ascii=False).encode()
        async with self.session.post(self.url + path, data=raw) as got:
            return Got(got.status, await got.read(), got.headers)

    async def open(self, target: str, **fields: str) -> Got:
        """Open an address as it is written, and follow nothing."""
        url = URL(self.url + target, encoded=True)
        async with self.session.get(url, headers=fields, allow_redirects=False) as got:
            return Got(got.status, await got.read(), got.headers)

    async def submit(self, form: "Form", person: str | None, answer: str, **fields: str) -> Got:
        """Send a form as a browser does: what is in it in its order, then the button."""
        pairs = [*form.hidden, ("person", person or form.chosen), ("answer", answer)]
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)
        return await self.open(f"{form.action}?{query}", **fields)

    async def code(self, app_id: str = OFFICIAL, **given: str) -> str:
        """Return a code for which somebody agreed, without a browser."""
        got = await self.post("/simulator/code", {"appid": app_id, **given})
        return str(got.told["code"])

    async def exchange(self, code: str, app_id: str = OFFICIAL, **given: str) -> Got:
        """Exchange a code for tokens."""
        query = {"appid": app_id, "secret": secret(app_id), "code": code}
        query |= {"grant_type": "authorization_code", **given}
        return await self.get(
            "/sns/oauth2/access_token", **{k: v for k, v in query.items() if v != LEFT_OUT}
        )

    async def signed_in(self, app_id: str = OFFICIAL, **given: str) -> dict[str, Any]:
        """Return the tokens of somebody who agreed."""
        got = await self.exchange(await self.code(app_id, **given), app_id)
        assert got.code == 0, got.body
        return got.told


LEFT_OUT: Final = "(left out)"
"""A parameter that is not sent."""


@dataclass
class Form(HTMLParser):
    """The form of a page, read as a browser reads it."""

    html: str
    action: str = ""
    hidden: list[tuple[str, str]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    chosen: str = ""
    ids: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        if not self.chosen and self.people:
            self.chosen = self.people[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what is there."""
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.ids |= {given["id"]} if "id" in given else set()
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "form":
            self.action = given["action"]
        elif tag == "input":
            self.hidden.append((given["name"], given["value"]))
        elif tag == "option":
            self.people.append(given["value"])
            if "selected" in given:
                self.chosen = given["value"]


def secret(app_id: str) -> str:
    """Return an app's secret."""
    return f"secret-of-{app_id}"


def link(
    app_id: str = OFFICIAL,
    back: str = BACK,
    *,
    path: str = AUTHORIZE,
    scope: str = "snsapi_userinfo",
    state: str = "s7",
    more: str = "",
) -> str:
    """Return the address of a page, as an app sends a browser there."""
    return (
        f"{path}?appid={app_id}&redirect_uri={quote(back, safe='')}"
        f"&response_type=code&scope={scope}&state={state}{more}"
    )


@asynccontextmanager
async def apps() -> AsyncIterator[Apps]:
    """Serve a world; its bytes of chance are the same each time."""
    clock, numbers = Clock(), count(1)

    def account(app_id: str, platform: Platform) -> Account:
        tokens = AccountTokens(clock, lambda: f"token-{next(numbers)}-{'x' * 100}")
        return Account(app_id, secret(app_id), tokens, Quotas(clock), platform=platform)

    accounts = [account(app_id, platform) for app_id, platform in PLATFORMS.items()]
    world = World(clock, accounts, random=random.Random(7).randbytes)  # noqa: S311  # the same
    faults = Faults(random.Random(7).random)  # noqa: S311  # the same each time
    server = ApiServer(world, faults)
    async with (
        server.serving("127.0.0.1", 0) as port,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield Apps(world, faults, server, clock, f"http://127.0.0.1:{port}", session)


def play(scenario: Callable[[Apps], Awaitable[None]]) -> None:
    """Run a scenario in a world of its own."""

    async def run() -> None:
        async with apps() as one:
            await asyncio.wait_for(scenario(one), 60)

    asyncio.run(run())
