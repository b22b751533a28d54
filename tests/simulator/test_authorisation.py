"""The pages of web authorisation, over HTTP (PROTOCOL 7.5)."""

from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.api import page
from gateway.simulator.api.authorisation import COOKIE, QRCONNECT, Wish, returning
from gateway.simulator.api.people import POPULATION
from gateway.simulator.api.quotas import Quotas
from gateway.simulator.api.tokens import AccountTokens
from gateway.simulator.api.wire import Asked, response
from gateway.simulator.api.world import Account
from gateway.simulator.documents import USER
from tests.simulator.apps import BACK, MINI, MOBILE, OFFICIAL, WEBSITE, Apps, Form, Got, link, play

LOGIN = {"path": QRCONNECT, "scope": "snsapi_login"}


def form(got: Got) -> Form:
    """Return the form of a page."""
    assert (got.status, got.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return Form(got.body.decode())


@pytest.mark.parametrize(
    ("target", "scope"),
    [(link(), "snsapi_userinfo"), (link(WEBSITE, **LOGIN), "snsapi_login")],
)
def test_who_agrees_is_brought_back_with_a_code(target: str, scope: str) -> None:
    async def scenario(one: Apps) -> None:
        shown = form(await one.open(target))
        assert {"person", "agree", "refuse"} <= shown.ids
        assert (shown.people, shown.chosen) == ([*POPULATION], POPULATION[0])
        got = await one.submit(shown, "韩梅梅", "agree")
        assert got.headers["Location"].startswith(f"{BACK}?code=")
        assert (got.brought["state"], [*got.brought]) == (["s7"], ["code", "state"])
        app_id = WEBSITE if scope == "snsapi_login" else OFFICIAL
        told = (await one.exchange(got.brought["code"][0], app_id)).told
        person = one.world.people.get("韩梅梅")
        assert told["openid"] == one.world.open_id(one.account(app_id), person)
        assert (told["unionid"], told["scope"]) == (person.union_id, scope)

    play(scenario)


@pytest.mark.parametrize("target", [link(), link(WEBSITE, **LOGIN)])
def test_who_refuses_is_brought_back_without_a_code(target: str) -> None:
    async def scenario(one: Apps) -> None:
        got = await one.submit(form(await one.open(target)), None, "refuse")
        assert (got.status, got.headers["Location"]) == (302, f"{BACK}?state=s7")

    play(scenario)


def test_nobody_is_asked_for_the_base_scope_and_the_browser_knows_who_was_chosen() -> None:
    async def scenario(one: Apps) -> None:
        async def who(**fields: str) -> str:
            got = await one.open(link(scope="snsapi_base"), **fields)
            told = (await one.exchange(got.brought["code"][0])).told
            assert told["scope"] == "snsapi_base"
            assert "unionid" not in told
            return str(told["openid"])

        assert await who() == USER
        for name in POPULATION:
            got = await one.submit(form(await one.open(link())), name, "agree")
            kept = got.headers["Set-Cookie"].partition(";")[0]
            open_id = one.world.open_id(one.account(), one.world.people.get(name))
            assert await who(Cookie=f"other=1; {kept}; more") == open_id
            assert form(await one.open(link(), cookie=kept)).chosen == name
        for wrong in (f"{COOKIE}=%F0", f"{COOKIE}=nobody", COOKIE, f"x{COOKIE}=1", "=;;"):
            assert await who(Cookie=wrong) == USER

    play(scenario)


@pytest.mark.parametrize(
    ("target", "said", "code"),
    [
        (link("wxunknown"), "AppID 参数错误", ""),
        (link(""), "appid不能为空", "10012"),
        (link(MINI), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(MOBILE), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(WEBSITE), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(OFFICIAL, **LOGIN), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(scope="snsapi_login"), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(WEBSITE, path=QRCONNECT), "Scope 参数错误或没有 Scope 权限", "10005"),
        (link(scope=""), "scope不能为空", "10010"),
        (link(back=""), "redirect_uri不能为空", "10011"),
        (link(back="ftp://shop.example/"), "redirect_uri 参数错误", "10003"),
        (link(back="javascript:alert(1)"), "redirect_uri 参数错误", "10003"),
        (link(back="//shop.example/"), "redirect_uri 参数错误", "10003"),
        (link(back="https:///login"), "redirect_uri 参数错误", "10003"),
        (link(back="https://[shop/"), "redirect_uri 参数错误", "10003"),
        (link(back="https://shop.example@evil.example/"), "redirect_uri 参数错误", "10003"),
        (link(back="https://evil.example\\@shop.example/"), "redirect_uri 参数错误", "10003"),
        (link(back=f"{BACK}\r\nSet-Cookie: a=b"), "redirect_uri 参数错误", "10003"),
        (link(back=f"{BACK}\nx"), "redirect_uri 参数错误", "10003"),
        (link(state=""), "state不能为空", "10013"),
        (link(state="a" * 129), "state 参数错误", ""),
        (link(state="a-b"), "state 参数错误", ""),
        (link(state="%0D%0A"), "state 参数错误", ""),
        (link(more="&x=1"), "该链接无法访问", ""),
        (link(more="&lang=en"), "该链接无法访问", ""),
        (link(more="&forcePopup=1"), "该链接无法访问", ""),
        (link().replace("response_type=code", "response_type=token"), "该链接无法访问", ""),
        (link().replace("&response_type=code", ""), "该链接无法访问", ""),
        (link().replace("&state=s7", ""), "该链接无法访问", ""),
        (link(path="/connect/other"), "该链接无法访问", ""),
        ("/connect/oauth2/authorize", "该链接无法访问", ""),
        ("/connect/confirm", "该链接无法访问", ""),
    ],
)
def test_a_wrong_link_is_told_on_a_page(target: str, said: str, code: str) -> None:
    async def scenario(one: Apps) -> None:
        got = await one.open(target)
        assert form(got).ids == set()
        shown = got.body.decode()
        assert said in shown
        assert (f"code: {code}<" in shown) == bool(code)
        assert ("错误码" in shown) == bool(code)
        assert not one.world.grants._codes

    play(scenario)


def test_each_order_but_the_platforms_is_refused() -> None:
    async def scenario(one: Apps) -> None:
        path, _, query = link(scope="snsapi_base").partition("?")
        pairs = query.split("&")
        for first in range(len(pairs)):
            for second in range(first + 1, len(pairs)):
                other = [*pairs]
                other[first], other[second] = other[second], other[first]
                assert (await one.open(f"{path}?{'&'.join(other)}")).status == 200
        assert (await one.open(f"{path}?{query}&appid={OFFICIAL}")).status == 200
        assert (await one.open(f"{path}?{query}")).status == 302

    play(scenario)


@pytest.mark.parametrize(
    "more", ["&forcePopup=true", "&forceSnapShot=true", "&forcePopup=true&forceSnapShot=false"]
)
def test_the_optional_parameters_stand_at_the_end(more: str) -> None:
    async def scenario(one: Apps) -> None:
        got = await one.submit(form(await one.open(link(more=more))), None, "agree")
        told = (await one.exchange(got.brought["code"][0])).told
        # The app wanted a virtual account.
        assert (told.get("is_snapshotuser") == 1) == ("forceSnapShot=true" in more)

    play(scenario)


def test_a_websites_page_takes_a_language() -> None:
    async def scenario(one: Apps) -> None:
        assert "agree" in form(await one.open(link(WEBSITE, **LOGIN, more="&lang=en"))).ids

    play(scenario)


def test_codes_are_brought_to_the_host_that_is_set_and_no_other() -> None:
    async def scenario(one: Apps) -> None:
        async def goes(back: str) -> bool:
            return (await one.open(link(back=back, scope="snsapi_base"))).status == 302

        got = await one.post("/simulator/redirect_host", {"appid": OFFICIAL, "host": "a.example"})
        assert (got.status, one.account().redirect_host) == (200, "a.example")
        assert await goes("https://a.example/x")
        assert await goes("https://A.example:8443/x")
        for other in ("b.example", "x.a.example", "a.example.b", "a.example@b.example"):
            assert not await goes(f"https://{other}/x")
        one.account().redirect_host = "127.0.0.1:8000"
        assert await goes("http://127.0.0.1:8000/x")
        assert not await goes("http://127.0.0.1:8001/x")

    play(scenario)


def test_an_answer_is_checked_like_the_link_that_it_answers() -> None:
    async def scenario(one: Apps) -> None:
        shown = form(await one.open(link()))
        one.account().redirect_host = "elsewhere.example"
        got = await one.submit(shown, None, "agree")
        assert (got.status, "10003" in got.body.decode()) == (200, True)
        one.account().redirect_host = ""
        got = await one.submit(shown, "nobody", "agree")
        assert (got.status, "无法访问" in got.body.decode()) == (200, True)

    play(scenario)


def test_the_page_loads_nothing_runs_nothing_and_escapes_everything() -> None:
    async def scenario(one: Apps) -> None:
        one.account().name = "<b>\"Shop\" & 'Co'</b>"
        one.world.people.get("<script>alert('x')</script>\"")
        back = "https://shop.example/?a=\"><script>x</script>&b='"
        got = await one.open(link(back=back))
        shown = form(got)
        assert not {"script", "img", "iframe", "b"} & shown.tags
        assert shown.addresses == ["data:,"]
        assert shown.people[-1] == "<script>alert('x')</script>\""
        answered = await one.submit(shown, shown.people[-1], "agree")
        place = answered.headers["Location"]
        assert place.startswith(
            "https://shop.example/?a=%22%3E%3Cscript%3Ex%3C/script%3E&b='&code="
        )
        assert "default-src 'none'" in got.headers["Content-Security-Policy"]
        assert got.headers["Cache-Control"] == answered.headers["Cache-Control"] == "no-store"

    play(scenario)


def test_pages_are_counted_and_meet_no_faults() -> None:
    async def scenario(one: Apps) -> None:
        await one.post("/simulator/faults", {"status": 1.0, "latency": 60})
        assert "agree" in form(await one.open(link())).ids
        calls = (await one.get("/simulator/summary")).told["calls"]
        assert calls == {"/connect/oauth2/authorize": 1}

    play(scenario)


ADDRESSES = st.builds(
    lambda path, query, fragment: f"https://shop.example{path}{query}{fragment}",
    st.sampled_from(["", "/", "/登录", "/a%2Fb"]),
    st.sampled_from(["", "?", "?next=%2Fcart%3Fa%3D1", "?a=1&b=", "?a=1&", "?q=你好"]),
    st.sampled_from(["", "#", "#/route?x=1"]),
)


@given(ADDRESSES, st.from_regex(r"[a-zA-Z0-9]{1,128}", fullmatch=True), st.booleans())
def test_an_address_keeps_what_it_has(address: str, state: str, agreed: bool) -> None:
    account = Account("wx1", "", AccountTokens(lambda: 0, str), Quotas(lambda: 0))
    wish = Wish(account, address, "snsapi_base", state, snapshot=False)
    place = returning(wish, "C0de-_" if agreed else None)
    before, after = urlsplit(address), urlsplit(place)
    assert place.isascii()
    assert (after.netloc, after.fragment) == (before.netloc, before.fragment)
    assert after.path == quote(before.path, safe="/%")
    expected = parse_qsl(before.query, keep_blank_values=True)
    expected += [("code", "C0de-_")] * agreed + [("state", state)]
    assert parse_qsl(after.query, keep_blank_values=True) == expected


@given(st.text(max_size=40))
def test_no_field_of_a_head_begins_another(value: str) -> None:
    try:
        head = response(b"", 302, "text/plain", (("Location", value),))
    except ValueError:
        assert not (value.isascii() and value.isprintable())
    else:
        assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == 5


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_whatever_people_and_accounts_are_called_the_page_reads_the_same(name: str) -> None:
    shown = Form(page.question(name, (name, name), "/x", [("query", name)], [(name, True)]))
    assert (shown.hidden, shown.people, shown.chosen) == ([("query", name)], [name], name)
    assert "script" not in shown.tags
    assert Form(page.wrong(name, 1, name)).ids == set()


@given(st.binary(max_size=60))
def test_a_cookie_is_looked_for_in_any_head(junk: bytes) -> None:
    head = b"GET /x?a=1 HTTP/1.1\r\n" + junk.replace(b"\r", b"") + b"\r\nCookie: b=2; a=1=1;c"
    asked = Asked("GET", "/x", {}, b"", head)
    assert (asked.cookie("a"), asked.cookie("d"), asked.raw_query) == ("1=1", None, "a=1")
