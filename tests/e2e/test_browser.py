"""A real browser signs in: Debian's Chromium, driven by Playwright, at the simulated WeChat."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.signing_in import Place, place
from tests.support import APP_ID

# Without these it looks for the network that tests are to do without.
QUIET: Final = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
EXCHANGE: Final = "/sns/oauth2/access_token"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway and a WeChat."""
    with place(tmp_path_factory.mktemp("browser"), identity="cache_seconds = 0.0") as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=QUIET, headless=True
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that was nowhere yet."""
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Its page."""
    return context.new_page()


def authorize(gateway: Place, redirect: str | None = None, scope: str = "snsapi_userinfo") -> str:
    """Return the address at which a sign-in begins."""
    back = quote(f"{gateway.url}/session" if redirect is None else redirect, safe="")
    return f"{gateway.url}/oauth/main/authorize?scope={scope}&redirect={back}"


def session(context: BrowserContext, gateway: Place) -> dict[str, Any] | None:
    """Return what the browser's session says; None where it has none."""
    answer = context.request.get(f"{gateway.url}/session")
    told: dict[str, Any] | None = answer.json() if answer.ok else None
    return told


def test_a_user_agrees_and_is_signed_in(
    page: Page, context: BrowserContext, gateway: Place
) -> None:
    page.goto(authorize(gateway))
    assert page.url.startswith(f"http://127.0.0.1:{gateway.platform.port}/connect/oauth2/")
    page.select_option("#person", label="韩梅梅")
    page.click("#agree")
    page.wait_for_url(f"{gateway.url}/session")
    who = session(context, gateway)
    assert who is not None
    assert who["nickname"] == "韩梅梅"
    (cookie,) = [one for one in context.cookies() if one["name"] == "gateway_session"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    # What the page's own scripts see of it.
    assert "gateway_session" not in page.evaluate("document.cookie")


def test_a_user_refuses_then_thinks_better_of_it(
    page: Page, context: BrowserContext, gateway: Place
) -> None:
    page.goto(authorize(gateway))
    page.click("#refuse")
    page.wait_for_selector("h1")
    assert page.inner_text("h1") == "你没有同意登录"
    assert session(context, gateway) is None
    page.click("#again")
    page.click("#agree")
    page.wait_for_url(f"{gateway.url}/session")
    assert session(context, gateway) is not None


def test_silent_sign_in_asks_nothing(page: Page, context: BrowserContext, gateway: Place) -> None:
    page.goto(authorize(gateway, scope="snsapi_base"))
    # Browsers keep the fragment of where they were sent from.
    page.wait_for_url(f"{gateway.url}/session#wechat_redirect")
    assert session(context, gateway) is not None


def _come_back(page: Page) -> str:
    """Agree, and return the address that the browser was sent back to."""
    with page.expect_request(lambda request: "/callback?" in request.url) as sent:
        page.click("#agree")
    return sent.value.url


def test_a_redirect_that_is_hit_twice_signs_in_once(
    page: Page, context: BrowserContext, gateway: Place
) -> None:
    before = gateway.calls(EXCHANGE)
    page.goto(authorize(gateway))
    back = _come_back(page)
    page.wait_for_url(f"{gateway.url}/session")
    first, sessions = session(context, gateway), context.request.get(f"{gateway.url}/sessions")
    twice = context.new_page()
    twice.goto(back)
    assert twice.url == f"{gateway.url}/session"
    assert session(context, gateway) == first is not None
    again = context.request.get(f"{gateway.url}/sessions")
    assert again.json() == sessions.json()
    assert gateway.calls(EXCHANGE) == before + 1


def test_a_replayed_state_signs_nobody_in(page: Page, chromium: Browser, gateway: Place) -> None:
    """In another browser, and in the same one with another's code."""
    page.goto(authorize(gateway))
    back = _come_back(page)
    page.wait_for_url(f"{gateway.url}/session")
    thief = chromium.new_context()
    stolen = thief.new_page()
    stolen.goto(back)
    assert stolen.inner_text("h1") == "这次登录已经失效"
    assert session(thief, gateway) is None
    thief.close()
    code = gateway.control("code", appid=APP_ID, person="韩梅梅")["code"]
    state = back.partition("state=")[2]
    page.goto(f"{gateway.url}/oauth/main/callback?code={code}&state={state}")
    assert page.inner_text("h1") == "这次登录已经失效"


@pytest.mark.parametrize(
    "redirect",
    [
        *("https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example"),
        *("javascript:alert(1)", "https://127.0.0.1@evil.example", "https://ｅvil.example"),
    ],
)
def test_no_browser_is_led_to_a_foreign_page(page: Page, gateway: Place, redirect: str) -> None:
    answer = page.goto(authorize(gateway, redirect))
    assert answer is not None
    assert answer.status == 400
    assert page.inner_text("h1") == "链接不正确"
    assert page.url.startswith(gateway.url)


def test_who_signs_out_is_out(page: Page, context: BrowserContext, gateway: Place) -> None:
    page.goto(authorize(gateway))
    page.click("#agree")
    page.wait_for_url(f"{gateway.url}/session")
    assert page.evaluate("fetch('/session', {method: 'DELETE'}).then(r => r.status)") == 204
    assert session(context, gateway) is None
    assert not [one for one in context.cookies() if one["name"] == "gateway_session"]


def test_the_pages_load_nothing_from_elsewhere(page: Page, gateway: Place, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(authorize(gateway))
    page.click("#refuse")
    page.wait_for_selector("h1")
    page.screenshot(path=tmp_path / "refused.png")
    assert {url.split("/")[2].split(":")[0] for url in asked} == {"127.0.0.1"}
