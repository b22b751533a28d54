"""People sign in, are known, and sign out: at real processes, over both kinds of stores."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.e2e.server import ROOT
from tests.e2e.signing_in import MINI, MINI_KEY, READER, Browser, Place, place
from tests.services import free_port
from tests.support import APP_ID

EXCHANGE = "/sns/oauth2/access_token"


@pytest.fixture(scope="module", params=["sqlite", "servers"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A gateway over SQLite; and two processes of one over Redis and Postgres."""
    servers = request.param == "servers"
    folder = tmp_path_factory.mktemp(request.param)
    kind = "workers" if servers else "rsgi"
    # Two processes without a cache are of one mind.
    with place(folder, kind, servers=servers, identity="cache_seconds = 0.0") as running:
        yield running


def who(browser: Browser) -> dict[str, object]:
    """Return what a browser's own session says."""
    answer = browser.go(f"{browser.place.url}/session")
    assert answer.status == 200, answer.text
    told: dict[str, object] = answer.told
    return told


def test_a_browser_is_led_to_wechat_and_back_signed_in(gateway: Place) -> None:
    browser = gateway.browser()
    leave = browser.begin(scope="snsapi_userinfo")
    assert leave.status == 302
    assert leave.header("location").endswith("#wechat_redirect")
    back = browser.go(browser.agree(leave))
    assert (back.status, back.header("location")) == (302, f"{gateway.url}/session")
    assert back.header("cache-control") == "no-store"
    assert back.header("referrer-policy") == "no-referrer"
    cookie = back.header("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Domain" not in cookie
    session = who(browser)
    assert session["nickname"] == "小明🎈"
    assert (session["account"], session["tenant"], session["app_id"]) == ("main", "shop", APP_ID)
    assert who(browser) == session


def test_a_redirect_that_is_hit_twice_at_once_signs_in_once(gateway: Place) -> None:
    browser = gateway.browser()
    back = browser.agree(browser.begin())
    before = gateway.calls(EXCHANGE)
    gateway.control("faults", latency=0.3)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: browser.go(back), range(6)))
    gateway.control("faults", latency=0)
    assert {answer.status for answer in answers} == {302}
    tokens = {answer.header("set-cookie").partition(";")[0] for answer in answers}
    assert len(tokens) == 1
    assert gateway.calls(EXCHANGE) == before + 1
    assert who(browser)


def test_a_callback_without_its_browser_is_refused(gateway: Place) -> None:
    browser, other = gateway.browser(), gateway.browser()
    back = browser.agree(browser.begin())
    before = gateway.calls(EXCHANGE)
    other.begin()
    refused = other.go(back)
    assert refused.status == 400
    assert "这次登录已经失效" in refused.text
    assert refused.header("set-cookie") == ""
    assert gateway.calls(EXCHANGE) == before
    assert browser.go(back).status == 302


def test_who_refuses_sees_a_page_and_can_sign_in_again(gateway: Place) -> None:
    browser = gateway.browser()
    state = browser.agree(browser.begin()).partition("state=")[2]
    refused = browser.go(f"{gateway.url}/oauth/main/callback?state={state}")
    assert refused.status == 200
    assert "你没有同意登录" in refused.text
    assert "/oauth/main/authorize?scope=snsapi_base" in refused.text
    assert "default-src 'none'" in refused.header("content-security-policy")


@pytest.mark.parametrize(
    "redirect",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "https:evil.example"),
        *("http://127.0.0.1:1/", "http://127.0.0.1@evil.example/", "javascript:alert(1)", ""),
        "http://127.0.0.1:8000\r\nset-cookie: a=b",
    ],
)
def test_nobody_is_led_elsewhere(gateway: Place, redirect: str) -> None:
    refused = gateway.browser().begin(redirect=redirect)
    assert refused.status == 400
    assert refused.header("location") == ""
    assert "a=b" not in refused.header("set-cookie")
    assert "evil" not in refused.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/oauth/nobody/authorize?redirect=x", 404, "sign_in_hosts"),
        ("/oauth/mini/authorize?redirect=x", 404, "sign_in_hosts"),
        ("/oauth/nobody/callback?code=x&state=y", 404, "sign_in_hosts"),
        ("/oauth/main/callback", 400, "这次登录已经失效"),
        ("/oauth/main/callback?code=x", 400, "这次登录已经失效"),
        ("/oauth/main/callback?code=x&state=%0d%0aset-cookie:%20a=b", 400, "失效"),
        ("/oauth/main/authorize?scope=all&redirect=http://127.0.0.1", 400, "scope: give"),
    ],
)
def test_what_is_no_sign_in_is_told_so(gateway: Place, path: str, status: int, said: str) -> None:
    answer = gateway.browser().go(gateway.url + path)
    assert answer.status == status
    assert said in answer.text
    assert answer.header("set-cookie") == ""


def test_a_code_that_wechat_refuses_is_a_page_with_a_way_on(gateway: Place) -> None:
    browser = gateway.browser()
    state = browser.agree(browser.begin()).partition("state=")[2]
    answer = browser.go(f"{gateway.url}/oauth/main/callback?code=wrong&state={state}")
    assert answer.status == 400
    assert "微信不再接受" in answer.text
    assert 'id="again"' in answer.text


def test_who_signs_out_is_signed_out(gateway: Place) -> None:
    browser = gateway.browser()
    browser.sign_in()
    stolen = browser.token
    ended = browser.go(f"{gateway.url}/session", "DELETE")
    assert ended.status == 204
    assert ("/", "gateway_session") not in browser.cookies
    assert browser.go(f"{gateway.url}/session").status == 401

    asked = {"authorization": f"Bearer {stolen}"}
    assert gateway.ask("GET", f"{gateway.url}/session", headers=asked).status == 401


def test_sessions_are_listed_and_ended_by_their_user(gateway: Place) -> None:
    here, there, elsewhere = (gateway.browser() for _ in range(3))
    for browser in (here, there, elsewhere):
        browser.sign_in(person="李雷")
    entries = here.go(f"{gateway.url}/sessions").told
    assert [entry["current"] for entry in entries].count(True) == 1
    current = there.go(f"{gateway.url}/sessions").told
    (handle,) = [entry["handle"] for entry in current if entry["current"]]
    assert here.token not in str(entries)
    assert here.go(f"{gateway.url}/sessions/{handle}", "DELETE").status == 204
    assert there.go(f"{gateway.url}/session").status == 401
    assert elsewhere.go(f"{gateway.url}/session").status == 200
    assert here.go(f"{gateway.url}/sessions/{handle}", "DELETE").status == 404
    assert here.go(f"{gateway.url}/sessions", "DELETE").status == 204
    assert elsewhere.go(f"{gateway.url}/session").status == 401
    other = gateway.browser()
    other.sign_in(person="韩梅梅")
    assert other.go(f"{gateway.url}/sessions/{handle}", "DELETE").status == 404


def test_a_reverse_proxy_is_told_who_calls_and_whether_they_may(gateway: Place) -> None:
    browser = gateway.browser()
    verify = f"{gateway.url}/session/verify"
    nobody = browser.go(verify)
    assert (nobody.status, nobody.body) == (401, b"")
    browser.sign_in("snsapi_userinfo")
    session = who(browser)
    passed = browser.go(verify)
    assert (passed.status, passed.body) == (200, b"")
    assert passed.header("x-auth-user") == session["person"]
    assert passed.header("x-auth-open-id") == session["open_id"]
    assert passed.header("x-auth-union-id") == session["union_id"]
    assert (passed.header("x-auth-account"), passed.header("x-auth-tenant")) == ("main", "shop")
    assert browser.go(f"{verify}?account=main&account=site").status == 200
    # A word that is mistyped lets nobody pass.
    assert browser.go(f"{verify}?roles=staff").status == 403
    for refused in ("account=site", "role=staff", "permission=orders:read"):
        assert browser.go(f"{verify}?{refused}").status == 403
    granted = gateway.api("POST", f"/identities/{session['person']}/roles", {"add": ["staff"]})
    assert granted.status == 200
    assert browser.go(f"{verify}?role=staff").status == 200
    assert browser.go(f"{verify}?role=admin&role=staff").status == 200
    assert browser.go(f"{verify}?permission=orders:read").status == 200
    assert browser.go(f"{verify}?permission=orders:read&permission=orders:write").status == 403
    told = browser.go(verify)
    assert (told.header("x-auth-roles"), told.header("x-auth-permissions")) == (
        "staff",
        "orders:read",
    )
    gateway.api("POST", f"/identities/{session['person']}/roles", {"remove": ["staff"]})
    assert browser.go(f"{verify}?role=staff").status == 403


def test_a_bearers_token_counts_and_no_cookie_beside_it(gateway: Place) -> None:
    browser = gateway.browser()
    browser.sign_in()
    verify = f"{gateway.url}/session/verify"
    bearer = {"authorization": f"Bearer {browser.token}"}
    assert gateway.ask("GET", verify, headers=bearer).status == 200
    for wrong in ("Bearer wrong", f"Basic {browser.token}", "Bearer", f"bearer{browser.token}"):
        assert browser.go(verify, authorization=wrong).status == 401


def test_a_proxy_that_hands_redirects_on_leads_to_the_sign_in(gateway: Place) -> None:
    """As Traefik does: the page that was asked for is in its headers."""
    headers = {
        "x-forwarded-proto": "http",
        "x-forwarded-host": f"127.0.0.1:{gateway.shop}",
        "x-forwarded-uri": "/orders?a=b|c&d={e}",
        "accept": "text/html,*/*",
    }
    verify = f"{gateway.url}/session/verify?sign_in=main"
    led = gateway.ask("GET", verify, headers=headers)
    assert led.status == 302
    browser = gateway.browser()
    back = browser.go(browser.agree(browser.go(led.header("location"))))
    shop = f"http://127.0.0.1:{gateway.shop}"
    assert back.header("location") == f"{shop}/orders?a=b%7Cc&d=%7Be%7D"
    for unseen in ({"accept": "*/*"}, {"sec-fetch-mode": "no-cors"}, {"sec-fetch-mode": "cors"}):
        assert gateway.ask("GET", verify, headers=headers | unseen).status == 401
    assert (
        gateway.ask("GET", verify, headers=headers | {"sec-fetch-mode": "navigate"}).status == 302
    )
    foreign = gateway.ask("GET", verify, headers={**headers, "x-forwarded-host": "evil.example"})
    assert gateway.browser().go(foreign.header("location")).status == 400
    assert gateway.ask("GET", verify).status == 401


def test_a_mini_programs_user_gets_a_token_and_gives_a_phone_number(gateway: Place) -> None:
    answer = gateway.app_login()
    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    session = answer.told["session"]
    assert (session["account"], session["app_id"]) == ("mini", MINI)
    assert "session_key" not in answer.text
    bearer = {"authorization": f"Bearer {answer.told['token']}"}
    code = gateway.control("phone_code", appid=MINI)["code"]
    url = f"{gateway.url}/miniprogram/mini/phone"
    phone = gateway.ask("POST", url, {"code": code}, bearer)
    assert phone.told["country"] == "86"
    assert gateway.ask("POST", url, {"code": code}, bearer).status == 400
    assert gateway.ask("POST", url, {"code": code}).status == 401
    browser = gateway.browser()
    browser.sign_in()
    elsewhere = {"authorization": f"Bearer {browser.token}"}
    assert gateway.ask("POST", url, {"code": code}, elsewhere).status == 401


def test_a_mobile_apps_user_gets_a_token(gateway: Place) -> None:
    answer = gateway.app_login(app="app/mobile")
    assert answer.told["session"]["account"] == "mobile"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("miniprogram/mini/login", {"code": "wrong"}, 400, "get another one"),
        ("miniprogram/mini/login", {}, 422, "code"),
        ("miniprogram/mini/login", {"code": 7}, 422, "code"),
        ("miniprogram/mini/login", {"code": "c" * 600}, 422, "code"),
        ("miniprogram/mini/login", [], 422, "no JSON object"),
        ("miniprogram/mini/login", b"{", 400, "not JSON"),
        ("miniprogram/mini/login", b'{"code": "' + b"c" * (1 << 16) + b'"}', 413, "more than"),
        ("miniprogram/mobile/login", {"code": "x"}, 404, "mini_program"),
        ("app/mini/login", {"code": "x"}, 404, "mobile_app"),
        ("miniprogram/nobody/login", {"code": "x"}, 404, "mini_program"),
    ],
)
def test_what_an_app_sends_wrong_is_told_as_a_problem(
    gateway: Place, path: str, body: object, status: int, said: str
) -> None:
    answer = gateway.ask("POST", f"{gateway.url}/{path}", body)
    assert answer.status == status
    assert answer.header("content-type").startswith("application/problem+json")
    assert said in answer.text


def test_one_person_is_one_over_apps_and_sessions_follow(gateway: Place) -> None:
    person = f"新人{time.time_ns()}"
    browser = gateway.browser()
    browser.sign_in(person=person)
    before = who(browser)["person"]
    login = gateway.app_login(person).told["session"]
    assert login["person"] != before
    browser.sign_in("snsapi_userinfo", person)
    assert who(browser)["person"] == login["person"]
    found = gateway.api("GET", f"/identities/{before}").told
    assert found["id"] == login["person"]
    assert found["former_ids"] == [before]
    assert {one["account"] for one in found["identities"]} == {"main", "mini"}
    by_open_id = {"account": "mini", "open_id": login["open_id"]}
    assert gateway.api("POST", "/identities/find", by_open_id).told == found
    by_union_id = {"union_id": login["union_id"]}
    assert gateway.api("POST", "/identities/find", by_union_id).told == found
    (merge,) = gateway.api("GET", f"/identities/merges?person={before}").told
    assert (merge["former"], merge["person"], merge["whole"]) == (before, found["id"], True)
    assert login["open_id"] not in str(merge)
    listed = gateway.api("GET", f"/identities/{before}/sessions").told
    assert {one["account"] for one in listed} == {"main", "mini"}


def test_keys_see_their_own_accounts_and_may_what_they_may(gateway: Place) -> None:
    person = f"新人{time.time_ns()}"
    login = gateway.app_login(person).told["session"]
    browser = gateway.browser()
    browser.sign_in("snsapi_userinfo", person)
    path = f"/identities/{login['person']}"
    seen = gateway.api("GET", path, key=MINI_KEY).told
    assert [one["account"] for one in seen["identities"]] == ["mini"]
    assert gateway.api("POST", f"{path}/roles", {"add": ["staff"]}, READER).status == 403
    assert gateway.api("GET", path, key="gwk_wrong").status == 401
    assert gateway.ask("GET", gateway.url + path).status == 401
    only_main = gateway.browser()
    only_main.sign_in(person=f"另一个{time.time_ns()}")
    other = who(only_main)["person"]
    assert gateway.api("GET", f"/identities/{other}", key=MINI_KEY).status == 404
    assert gateway.api("GET", "/identities/merges", key=MINI_KEY).status == 403
    # What is the whole person's is not for a key of one account.
    for what, change in (("roles", {"add": ["admin"]}), ("tags", {"add": ["vip"]})):
        assert gateway.api("POST", f"{path}/{what}", change, MINI_KEY).status == 403
    gateway.api("POST", f"{path}/roles", {"add": ["staff"]})
    assert gateway.api("GET", path).told["roles"] == ["staff"]
    assert gateway.api("GET", path, key=MINI_KEY).told["roles"] == []
    ended = gateway.api("DELETE", f"{path}/sessions", key=MINI_KEY)
    assert ended.told == {"ended": 1}
    assert browser.go(f"{gateway.url}/session").status == 200


def test_people_are_tagged_and_their_profile_is_asked_for_anew(gateway: Place) -> None:
    person = f"昵称{time.time_ns()}"
    browser = gateway.browser()
    browser.sign_in("snsapi_userinfo", person)
    path = f"/identities/{who(browser)['person']}"
    tagged = gateway.api("POST", f"{path}/tags", {"add": ["vip", "老客户"]}).told
    assert tagged["tags"] == ["vip", "老客户"]
    assert gateway.api("POST", f"{path}/tags", {"remove": ["vip"]}).told["tags"] == ["老客户"]
    refreshed = gateway.api("POST", f"{path}/profile", {"account": "main"})
    assert refreshed.told["identities"][0]["nickname"] == person
    gateway.control("expire", what="user_tokens")
    gateway.control("expire", what="refresh_tokens")
    again = gateway.api("POST", f"{path}/profile", {"account": "main"})
    assert again.status == 409
    assert "sign in again" in again.told["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/identities/find", {}, "open_id"),
        ("/identities/find", {"open_id": "o1", "union_id": "u1"}, "open_id"),
        ("/identities/find", {"open_id": "o1"}, "account"),
        ("/identities/find", {"open_id": "o1", "account": "nobody"}, "account"),
        ("/identities/{}/roles", {"add": ["nothing"]}, "add"),
        ("/identities/{}/roles", {"grant": ["staff"]}, "grant"),
        ("/identities/{}/tags", {"add": "vip"}, "add"),
        ("/identities/{}/tags", {"add": ["a\nb"]}, "add"),
        ("/identities/{}/tags", {"remove": ["a" * 65]}, "remove"),
    ],
)
def test_what_is_asked_wrong_is_told_field_by_field(
    gateway: Place, path: str, body: object, field: str
) -> None:
    browser = gateway.browser()
    browser.sign_in()
    answer = gateway.api("POST", path.format(who(browser)["person"]), body)
    assert answer.status == 422
    assert [one.get("field") for one in answer.told["errors"]] == [field]


def test_nobody_is_found_by_what_is_nobodys(gateway: Place) -> None:
    assert gateway.api("GET", "/identities/nobody").status == 404
    assert gateway.api("POST", "/identities/find", {"union_id": "nobody"}).status == 404
    assert gateway.api("POST", "/identities/nobody/roles", {"add": ["staff"]}).status == 404
    assert gateway.api("GET", "/identities/nobody/sessions").status == 404


def test_nothing_of_a_user_is_in_the_log(gateway: Place) -> None:
    browser = gateway.browser()
    back = browser.agree(browser.begin(scope="snsapi_userinfo"))
    browser.go(back)
    session = who(browser)
    code, state = back.partition("code=")[2].split("&state=")
    log = gateway.server.log
    for secret in (
        *(session["open_id"], session["union_id"], session["nickname"], browser.token),
        *(code, state, "secret-of-main", "not-a-secret"),
    ):
        assert str(secret) not in log


def test_a_sign_in_outlives_a_gateway_that_was_killed(tmp_path: Path) -> None:
    """The browser has what was begun, and the store what came of it."""
    with place(tmp_path) as gateway:
        browser = gateway.browser()
        back = browser.agree(browser.begin())
        gateway.restart()
        assert browser.go(back).status == 302
        session = who(browser)
        gateway.restart()
        assert who(browser) == session
        assert browser.go(back).status == 302
        assert gateway.calls(EXCHANGE) == 1


def test_the_demo_prints_a_link_that_signs_a_simulated_user_in(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
    command = [*(sys.executable, "-m", "gateway", "demo"), "--port", str(free_port())]
    demo = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert demo.stdout is not None
        link = next(line.strip() for line in demo.stdout if "/oauth/demo/authorize" in line)
        # A silent sign-in needs nobody to click.
        silent = link.replace("snsapi_userinfo", "snsapi_base")
        browser = build_opener(HTTPCookieProcessor())
        assert "未登录" in browser.open(link.partition("redirect=")[2], timeout=20).read().decode()
        assert "你好" in browser.open(silent, timeout=20).read().decode()
    finally:
        demo.terminate()
        demo.communicate(timeout=30)
    assert demo.returncode == 0
