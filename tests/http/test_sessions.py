"""Sessions in requests: who calls in an author's own routes, guards, renewal, what is told."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar, Request, Router, get, post
from litestar.testing import TestClient
from litestar.types import ASGIApp, ControllerRouterHandler, Middleware

from gateway.adapters.sqlite_identities import SqliteIdentities
from gateway.adapters.sqlite_sessions import SqliteSessions
from gateway.errors import StoreDown
from gateway.http.api.problems import HANDLERS
from gateway.http.identity.authentication import Authentication, SessionMiddleware
from gateway.http.identity.cookies import Cookies
from gateway.http.identity.session import OwnSessions, session_routes
from gateway.http.identity.verify import verify_route
from gateway.identity.apps import App
from gateway.identity.directory import Directory
from gateway.identity.forgotten import Forgotten
from gateway.identity.keys import key_ring
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.session import Session
from gateway.identity.session_tokens import SessionTokens
from gateway.identity.sessions import Lifetimes, Opened, Roles, Sessions
from gateway.web import requires_permission, requires_role, signed_in

APP: Final = App("main", "wx1", Platform.OFFICIAL_ACCOUNT, "shop")
USER: Final = AppUser("wx1", "oUser0000000000000000000001")
HALF: Final = 3601.0


@get("/me", sync_to_thread=False)
def me(request: Request[Session | None, Any, Any]) -> str:
    """Tell who calls."""
    return "nobody" if request.user is None else request.user.person


@get("/mine", guards=[signed_in], sync_to_thread=False)
def mine() -> str:
    """Be for those who are signed in."""
    return "mine"


@get("/staff", guards=[requires_role("staff", "admin")], sync_to_thread=False)
def staff() -> str:
    """Be for a role."""
    return "staff"


@post("/orders", guards=[requires_permission("orders:read", "orders:write")], sync_to_thread=False)
def orders() -> str:
    """Be for two permissions."""
    return "orders"


@dataclass
class Site:
    """What a test has."""

    client: TestClient[Litestar]
    opened: Opened
    directory: Directory
    sessions: Sessions
    store: SqliteSessions
    offset: list[float]

    def get(self, path: str, token: str | None = None, **given: Any) -> httpx.Response:
        """Ask with a cookie: the session's unless another is given."""
        cookie = f"a=b; gateway_session={self.opened.token if token is None else token}; c=d"
        return self.client.request(
            given.pop("method", "GET"), path, headers={"cookie": cookie, **given}
        )

    def bearer(self, path: str, token: str | None = None, method: str = "GET") -> httpx.Response:
        """Ask with a token."""
        given = {"authorization": f"Bearer {token or self.opened.token}"}
        return self.client.request(method, path, headers=given)

    def run(self, call: Callable[[], Any]) -> Any:
        """Run something on the app's loop."""
        return self.client.blocking_portal.call(call)


@contextmanager
def serving(
    folder: Path,
    same_site: Any = "lax",
    domain: str | None = None,
    around: Sequence[Middleware] = (),
) -> Iterator[Site]:
    """Serve the routes, with somebody signed in."""
    offset = [0.0]

    def clock() -> float:
        return time.time() + offset[0]

    roles = Roles({"staff": ("orders:read",), "admin": ("orders:read", "orders:write")})
    identities = SqliteIdentities(folder / "g.db", timeout=5, new_id=lambda: "person-1")
    store = SqliteSessions(folder / "g.db", timeout=5, clock=clock)
    tokens = SessionTokens(key_ring(("s" * 32,), "session"), "https://wx.example", clock)
    sessions = Sessions(store, tokens, Lifetimes(7200, 9000, 0.0), roles, clock=clock)
    forgotten = Forgotten(identities, clock)
    directory = Directory(identities, sessions, roles, forgotten, clock=clock)
    cookies = Cookies("gateway_session", domain, True, same_site)
    authentication = Authentication(sessions, directory, cookies, clock)

    def middleware(app: ASGIApp) -> ASGIApp:
        return SessionMiddleware(app, authentication)

    own = Router("/", route_handlers=[me, mine, staff, orders], middleware=[middleware])
    own_sessions = session_routes(OwnSessions(authentication))
    of_gateway = Router("/", route_handlers=own_sessions, exception_handlers=HANDLERS)
    verify = verify_route(authentication, {"main"}, "https://wx.example")

    async def enter() -> Opened:
        await identities.see([Sighting(USER, APP.platform, clock())])
        person = await identities.owner(USER)
        assert person is not None
        return await sessions.open(APP, person, person.identities[0])

    async def close() -> None:
        await store.close()
        await identities.close()

    routes: list[ControllerRouterHandler] = [own, of_gateway, verify]
    app = Litestar(routes, on_shutdown=[close], openapi_config=None, middleware=around)
    with TestClient(app, base_url="https://wx.example") as client:
        opened = client.blocking_portal.call(enter)
        yield Site(client, opened, directory, sessions, store, offset)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The routes."""
    with serving(tmp_path) as one:
        yield one


def test_a_route_of_ones_own_knows_who_calls(site: Site) -> None:
    assert site.get("/me").text == "person-1"
    assert site.bearer("/me").text == "person-1"
    assert site.get("/me", "wrong").text == "nobody"
    assert site.client.get("/me").text == "nobody"


def test_guards_ask_for_a_session_a_role_and_permissions(site: Site) -> None:
    assert site.get("/mine").status_code == 200
    refused = site.get("/mine", "wrong")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert site.get("/staff", "wrong").status_code == 401
    assert site.get("/staff").status_code == 403
    assert site.get("/orders", method="POST").status_code == 403
    site.run(lambda: site.directory.grant("person-1", ["staff"], []))
    assert site.get("/staff").status_code == 200
    assert site.get("/orders", method="POST").status_code == 403
    site.run(lambda: site.directory.grant("person-1", ["admin"], ["staff"]))
    assert site.get("/staff").status_code == 200
    assert site.get("/orders", method="POST").status_code == 201


@pytest.mark.parametrize("path", ["/me", "/session", "/session/verify"])
def test_a_cookie_that_is_used_is_renewed_when_half_of_its_time_is_over(
    site: Site, path: str
) -> None:
    assert "set-cookie" not in site.get(path).headers
    site.offset[0] = HALF
    renewed = site.get(path).headers["set-cookie"]
    token = renewed.partition("gateway_session=")[2].partition(";")[0]
    assert token != site.opened.token
    # Till the session's end, which no renewal moves.
    assert "Max-Age=5398" in renewed or "Max-Age=5399" in renewed
    assert "HttpOnly" in renewed
    assert "Secure" in renewed
    assert "set-cookie" not in site.get(path, token).headers
    site.offset[0] = 7300.0
    assert site.get("/me", token).text == "person-1"
    assert site.get("/me").text == "nobody"


def test_a_bearers_token_is_renewed_when_they_ask(site: Site) -> None:
    site.offset[0] = HALF
    for path in ("/me", "/session", "/session/verify"):
        assert "set-cookie" not in site.bearer(path).headers
    renewed = site.bearer("/session/renew", method="POST")
    assert renewed.status_code == 200
    token = renewed.json()["token"]
    assert site.bearer("/me", token).text == "person-1"
    at_its_end = site.bearer("/session/renew", token, "POST")
    assert (at_its_end.status_code, at_its_end.json()["detail"]) == (
        409,
        "at its end; sign in again",
    )
    assert site.bearer("/session/renew", "wrong", "POST").status_code == 401


def test_a_page_does_not_get_the_token_that_its_cookie_keeps_from_it(site: Site) -> None:
    site.offset[0] = 10.0
    renewed = site.get("/session/renew", method="POST")
    assert (renewed.status_code, renewed.text) == (204, "")
    assert "HttpOnly" in renewed.headers["set-cookie"]


def test_no_renewal_brings_back_who_signs_out(site: Site) -> None:
    site.offset[0] = HALF
    ended = site.get("/session", method="DELETE")
    assert ended.status_code == 204
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert site.get("/me").text == "nobody"


def test_whoever_the_session_is_of_nothing_of_them_is_cached(site: Site) -> None:
    for path in ("/session", "/sessions", "/session/verify"):
        assert site.get(path).headers["cache-control"] == "no-store"
    assert site.get("/session/verify", "wrong").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/me", "/session", "/session/verify", "/sessions"])
def test_a_store_that_is_down_is_not_nobody(
    site: Site, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is signed in is told to come again, and is not sent to sign in."""

    async def fail(_ids: Any) -> Any:
        raise StoreDown("SQLite /srv/gateway.db: disk full; free some")

    monkeypatch.setattr(site.sessions._reads, "_ask", fail)
    answer = site.get(path)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "disk full" not in answer.text
    assert site.opened.token not in caplog.text


def test_a_renewal_that_cannot_be_stored_waits_for_the_next_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_session: Any) -> Any:
        raise StoreDown("SQLite /srv/gateway.db: disk full; free some")

    site.offset[0] = HALF
    monkeypatch.setattr(site.store, "change", fail)
    answer = site.get("/session")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("cookie", "known"),
    [
        ("gateway_session={}", True),
        ('a=b;gateway_session="{}"', True),
        ("gateway_session={}; gateway_session=other", True),
        ("gateway_session=", False),
        ("gateway_session", False),
        ("xgateway_session={}", False),
        ("Gateway_Session={}", False),
        ("gateway_session={}x", False),
        ("gateway_session=x{}", False),
        ("=gateway_session={}", False),
        (";;=;", False),
    ],
)
def test_a_cookie_header_of_any_shape_is_read(site: Site, cookie: str, known: bool) -> None:
    sent = cookie.replace("{}", site.opened.token)
    answer = site.client.get("/me", headers={"cookie": sent})
    assert answer.text == ("person-1" if known else "nobody")


def test_cookies_are_as_the_settings_say(tmp_path: Path) -> None:
    with serving(tmp_path, "strict", "shop.example") as site:
        site.offset[0] = HALF
        cookie = site.get("/session").headers["set-cookie"]
        assert "Domain=shop.example" in cookie
        assert "SameSite=strict" in cookie
