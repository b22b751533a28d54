"""Signing in on the web: once for each code, whoever hits how often, and nobody by another's."""

import asyncio
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.states import BEGUN_SECONDS
from gateway.identity.web_sign_in import WebSignIn
from gateway.outbound.endpoints.web import ACCESS_TOKEN, USER_INFO
from gateway.simulator.api.faults import ApiFault
from gateway.simulator.api.quotas import Quota
from tests.identity.office import PAGE, WEBSITE, Office, visit

USERINFO = "snsapi_userinfo"


async def problem(sign_in: WebSignIn, code: str, state: str, cookie: str) -> SignInProblem:
    """Return why somebody is not signed in."""
    with pytest.raises(SignInFailed) as caught:
        await sign_in.finish(code, state, cookie)
    return caught.value.problem


def test_a_user_is_signed_in_with_what_they_agreed_to(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        base = await office.sign_in(office.web())
        assert base.redirect == PAGE
        assert (base.opened.session.nickname, base.opened.session.union_id) == (None, None)
        assert office.calls(USER_INFO) == 0
        full = await office.sign_in(office.web(), USERINFO)
        session = full.opened.session
        assert session.nickname == "小明🎈"
        assert session.union_id
        assert session.tenant == "tenant-1"
        assert session.person == base.opened.session.person
        person = await office.store.person(session.person)
        assert person is not None
        (identity,) = person.identities
        assert identity.nickname == "小明🎈"
        assert identity.avatar
        assert (await office.sessions.find(full.opened.token)).session == session

    visit(tmp_path, scenario)


def test_wechats_page_is_asked_in_its_own_order(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        leave = office.web().begin("", PAGE)
        parts = urlsplit(leave.url)
        assert list(parse_qs(parts.query)) == [
            *("appid", "redirect_uri", "response_type", "scope", "state")
        ]
        assert parts.fragment == "wechat_redirect"
        assert parts.path == "/connect/oauth2/authorize"
        website = office.web(WEBSITE)
        parts = urlsplit(website.begin("", PAGE).url)
        assert parts.path == "/connect/qrconnect"
        assert parse_qs(parts.query)["scope"] == ["snsapi_login"]
        signed_in = await office.sign_in(website)
        assert signed_in.opened.session.nickname == "小明🎈"

    visit(tmp_path, scenario)


@pytest.mark.parametrize("processes", [1, 4])
def test_a_redirect_that_is_hit_many_times_signs_in_once(tmp_path: Path, processes: int) -> None:
    """WeChat and browsers do that; a code is good once (40163)."""

    async def scenario(*offices: Office) -> None:
        sign_ins = [office.web() for office in offices]
        leave = sign_ins[0].begin(USERINFO, PAGE)
        code = await offices[0].apps.code(scope=USERINFO)
        offices[0].apps.faults.latency = 0.2
        hits = [sign_in.finish(code, *leave.state) for sign_in in sign_ins for _ in range(5)]
        got = await asyncio.gather(*hits)
        assert len({(one.opened.session.id, one.opened.token) for one in got}) == 1
        assert offices[0].calls(ACCESS_TOKEN) == 1
        # And once more, when all is done.
        again = await sign_ins[-1].finish(code, *leave.state)
        assert again == got[0]
        assert offices[0].calls(ACCESS_TOKEN) == 1
        assert len(await offices[0].sessions.of([again.opened.session.person])) == 1

    visit(tmp_path, scenario, processes)


def test_a_state_is_good_once(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        code, other = await office.apps.code(), await office.apps.code()
        await sign_in.finish(code, *leave.state)
        assert await problem(sign_in, other, *leave.state) is SignInProblem.STATE
        office.apps.clock.offset += 61
        assert await problem(sign_in, code, *leave.state) is SignInProblem.STATE
        office.apps.clock.offset += BEGUN_SECONDS - 61
        assert await problem(sign_in, other, *leave.state) is SignInProblem.STATE
        assert office.calls(ACCESS_TOKEN) == 1

    visit(tmp_path, scenario)


def test_a_stolen_state_signs_nobody_in(tmp_path: Path) -> None:
    """Whoever lures a victim to a callback of their own finds the victim's browser without it."""

    async def scenario(office: Office) -> None:
        sign_in = office.web()
        thief, victim = sign_in.begin("", PAGE), sign_in.begin("", PAGE)
        code = await office.apps.code(person="韩梅梅")
        for state, cookie in (
            (thief.state.value, ""),
            (thief.state.value, victim.state.cookie),
            (victim.state.value, thief.state.cookie),
            ("", thief.state.cookie),
        ):
            assert await problem(sign_in, code, state, cookie) is SignInProblem.STATE
        assert office.calls(ACCESS_TOKEN) == 0
        # Nothing of that was in the victim's way.
        assert await sign_in.finish(code, *victim.state)

    visit(tmp_path, scenario)


def test_who_does_not_agree_is_told_so_and_can_begin_again(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        assert await problem(sign_in, "", *leave.state) is SignInProblem.REFUSED
        assert await problem(sign_in, "", leave.state.value, "") is SignInProblem.STATE
        begun = sign_in.begun(*leave.state)
        assert begun is not None
        assert begun.redirect == PAGE

    visit(tmp_path, scenario)


@pytest.mark.parametrize("what", ["wrong", "used", "expired"])
def test_a_code_that_wechat_does_not_take_is_to_be_had_anew(tmp_path: Path, what: str) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        code = "no-code" if what == "wrong" else await office.apps.code()
        if what == "used":
            assert (await office.apps.exchange(code)).code == 0
        if what == "expired":
            await office.apps.post("/simulator/expire", {"what": "codes"})
        for _ in range(2):
            assert await problem(sign_in, code, *leave.state) is SignInProblem.CODE
        calls = 2 if what == "used" else 1
        assert office.calls(ACCESS_TOKEN) == calls

    visit(tmp_path, scenario)


def test_a_wechat_that_is_busy_leaves_the_code_good(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        code = await office.apps.code()
        for fault in (ApiFault.BUSY, ApiFault.MINUTE, ApiFault.DAILY):
            office.apps.faults.rates = {fault: 1.0}
            assert await problem(sign_in, code, *leave.state) is SignInProblem.BUSY
        office.apps.faults.rates = {}
        assert await sign_in.finish(code, *leave.state)

    visit(tmp_path, scenario)


def test_an_answer_that_was_lost_is_no_error_of_the_users(tmp_path: Path) -> None:
    """The code is used then: another try is told so, and so is who comes again."""

    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        code = await office.apps.code()
        office.apps.faults.rates = {ApiFault.RESET_AFTER: 1.0}
        assert await problem(sign_in, code, *leave.state) is SignInProblem.CODE
        office.apps.faults.rates = {}
        assert await problem(sign_in, code, *leave.state) is SignInProblem.CODE
        assert office.calls(ACCESS_TOKEN) == 1

    visit(tmp_path, scenario)


def test_a_wrong_secret_is_the_operators(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin("", PAGE)
        code = await office.apps.code()
        right, office.apps.account().secret = office.apps.account().secret, "another"
        assert await problem(sign_in, code, *leave.state) is SignInProblem.SETUP
        assert "wrong AppSecret" in caplog.text
        assert code not in caplog.text
        office.apps.account().secret = right
        assert await sign_in.finish(code, *leave.state)

    visit(tmp_path, scenario)


def test_a_previews_user_is_nobody(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        await office.apps.post("/simulator/people/李雷", {"snapshot": True})
        with pytest.raises(SignInFailed) as caught:
            await office.sign_in(office.web(), USERINFO, "李雷")
        assert caught.value.problem is SignInProblem.SNAPSHOT
        assert await office.store.count() == (0, 0)

    visit(tmp_path, scenario)


def test_a_profile_that_wechat_does_not_tell_is_no_reason_to_keep_anybody_out(
    tmp_path: Path,
) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.web()
        leave = sign_in.begin(USERINFO, PAGE)
        code = await office.apps.code(scope=USERINFO)
        office.apps.account().quotas.limits[USER_INFO] = Quota(0)
        signed_in = await sign_in.finish(code, *leave.state)
        assert signed_in.opened.session.nickname is None

    visit(tmp_path, scenario)


@pytest.mark.parametrize("scope", ["snsapi_login", "all", "snsapi_base&state=x", " "])
def test_there_is_no_other_scope(tmp_path: Path, scope: str) -> None:
    async def scenario(office: Office) -> None:
        with pytest.raises(SignInFailed) as caught:
            office.web().begin(scope, PAGE)
        assert caught.value.problem is SignInProblem.SCOPE

    visit(tmp_path, scenario)


def test_no_sign_in_begins_that_would_lead_elsewhere(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        with pytest.raises(SignInFailed) as caught:
            office.web().begin("", "https://evil.example/")
        assert caught.value.problem is SignInProblem.REDIRECT
        assert "evil" not in str(caught.value)

    visit(tmp_path, scenario)
