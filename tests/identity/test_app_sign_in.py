"""Mini programs and mobile apps sign in by code; what WeChat gives for it stays on the server."""

import asyncio
from pathlib import Path

import pytest

from gateway.errors import UserRejected
from gateway.identity.app_sign_in import PHONE, SESSION_KEY
from gateway.identity.failures import SignInFailed, SignInProblem
from gateway.identity.people import AppUser
from gateway.identity.user_tokens import USER_TOKEN, place_of
from gateway.outbound.endpoints.web import ACCESS_TOKEN, CODE_TO_SESSION
from tests.identity.office import MINI, MOBILE, OFFICIAL, Office, visit


async def js_code(office: Office, person: str = "小明🎈") -> str:
    """Return what ``wx.login`` gives somebody's mini program."""
    got = await office.apps.post("/simulator/js_code", {"appid": MINI, "person": person})
    return str(got.told["code"])


def test_a_mini_programs_user_is_signed_in_and_its_session_key_stays_here(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        opened = await office.by_code().sign_in(await js_code(office))
        session = opened.session
        assert (session.account, session.app_id) == ("mini", MINI)
        assert session.union_id
        user = AppUser(MINI, session.open_id)
        kept = await office.store.secret(user, SESSION_KEY)
        assert kept is not None
        key = office.vault.open(kept.sealed, place_of(SESSION_KEY, user))
        assert len(key) == 24
        assert key not in (tmp_path / "g.db").read_bytes()
        assert key.decode() not in repr(opened)

    visit(tmp_path, scenario)


@pytest.mark.parametrize("processes", [1, 3])
def test_a_code_that_is_brought_twice_signs_in_once(tmp_path: Path, processes: int) -> None:
    async def scenario(*offices: Office) -> None:
        code = await js_code(offices[0])
        offices[0].apps.faults.latency = 0.1
        got = await asyncio.gather(
            *(office.by_code().sign_in(code) for office in offices for _ in range(4))
        )
        assert len({one.token for one in got}) == 1
        assert offices[0].calls(CODE_TO_SESSION) == 1
        offices[0].apps.clock.offset += 120
        with pytest.raises(SignInFailed) as caught:
            await offices[0].by_code().sign_in(code)
        assert caught.value.problem is SignInProblem.STATE

    visit(tmp_path, scenario, processes)


def test_a_wrong_code_signs_nobody_in(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        with pytest.raises(SignInFailed) as caught:
            await office.by_code().sign_in("wrong")
        assert caught.value.problem is SignInProblem.CODE
        assert await office.store.count() == (0, 0)

    visit(tmp_path, scenario)


def test_a_mobile_apps_user_is_signed_in_by_its_sdks_code(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        code = await office.apps.code(MOBILE)
        opened = await office.by_code(MOBILE).sign_in(code)
        assert opened.session.app_id == MOBILE
        assert office.calls(ACCESS_TOKEN) == 1
        user = AppUser(MOBILE, opened.session.open_id)
        assert await office.store.secret(user, USER_TOKEN) is not None

    visit(tmp_path, scenario)


def test_one_person_is_one_over_all_apps(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        mini = (await office.by_code().sign_in(await js_code(office))).session
        page = (await office.sign_in(office.web(), "snsapi_userinfo")).opened.session
        other = (await office.by_code().sign_in(await js_code(office, "韩梅梅"))).session
        assert mini.person == page.person != other.person
        person = await office.store.person(mini.person)
        assert person is not None
        assert {one.user.app_id for one in person.identities} == {MINI, OFFICIAL}

    visit(tmp_path, scenario)


def test_a_phone_number_is_given_once_and_kept_sealed(tmp_path: Path) -> None:
    async def scenario(office: Office) -> None:
        sign_in = office.by_code()
        session = (await sign_in.sign_in(await js_code(office))).session
        got = await office.apps.post("/simulator/phone_code", {"appid": MINI})
        number = await sign_in.phone(session, str(got.told["code"]))
        assert number.pure.isdigit()
        assert number.country == "86"
        user = AppUser(MINI, session.open_id)
        kept = await office.store.secret(user, PHONE)
        assert kept is not None
        plain = office.vault.open(kept.sealed, place_of(PHONE, user))
        assert number.pure.encode() in plain
        assert number.pure.encode() not in (tmp_path / "g.db").read_bytes()
        assert number.pure not in repr(number)
        with pytest.raises(UserRejected):
            await sign_in.phone(session, str(got.told["code"]))

    visit(tmp_path, scenario)
