"""Signing in at the platform's endpoints, over HTTP, and what sets it by (PROTOCOL 7.5)."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.simulator.api.faults import ApiFault
from gateway.simulator.api.people import OPEN_ID, POPULATION
from gateway.simulator.api.quotas import Quota
from gateway.simulator.documents import USER
from tests.simulator.apps import (
    LEFT_OUT,
    MINI,
    MOBILE,
    OFFICIAL,
    OTHER,
    WEBSITE,
    Apps,
    Got,
    play,
    secret,
)

SAMPLES: Final[dict[str, dict[str, Any]]] = {
    sample["name"]: sample["response"]
    for sample in json.loads(
        (Path(__file__).parents[1] / "vectors" / "api.json").read_text(encoding="utf-8")
    )
}


def has_the_shape(told: dict[str, Any], name: str, *but: str) -> bool:
    """Tell whether an answer has what the platform's sample has, in its types, but some of it."""
    sample = SAMPLES[name]
    types = {key: type(value) for key, value in told.items()}
    return types == {key: type(value) for key, value in sample.items() if key not in but}


async def session(one: Apps, code: str, **given: str) -> Got:
    """Exchange a mini program's code."""
    query = {"appid": MINI, "secret": secret(MINI), "js_code": code}
    query |= {"grant_type": "authorization_code", **given}
    return await one.get("/sns/jscode2session", **{k: v for k, v in query.items() if v != LEFT_OUT})


async def js_code(one: Apps, person: str = POPULATION[0]) -> str:
    """Return what wx.login gives."""
    got = await one.post("/simulator/js_code", {"appid": MINI, "person": person})
    return str(got.told["code"])


async def phone(one: Apps, code: str, app_id: str = MINI) -> Got:
    """Exchange a code for a phone number."""
    token, _ = one.account(app_id).tokens.plain()
    return await one.post(f"/wxa/business/getuserphonenumber?access_token={token}", {"code": code})


@pytest.mark.parametrize(
    ("app_id", "scope"),
    [(OFFICIAL, "snsapi_userinfo"), (MOBILE, "snsapi_userinfo"), (WEBSITE, "snsapi_login")],
)
def test_an_app_learns_who_signed_in(app_id: str, scope: str) -> None:
    async def scenario(one: Apps) -> None:
        told = await one.signed_in(app_id)
        assert has_the_shape(told, "sns-access_token", "is_snapshotuser")
        assert (told["scope"], told["expires_in"]) == (scope, 7200)
        query = {"access_token": told["access_token"], "openid": told["openid"]}
        person = (await one.get("/sns/userinfo", **query, lang="zh_CN")).told
        assert has_the_shape(person, "sns-userinfo")
        first = one.world.people.first
        assert person["nickname"] == "小明🎈"
        assert person["openid"] == told["openid"] == one.world.open_id(one.account(app_id), first)
        assert (person["openid"] == USER) == (app_id == OFFICIAL)
        assert person["unionid"] == told["unionid"] == first.union_id
        assert (person["headimgurl"], person["privilege"]) == (first.avatar, [])
        assert (await one.get("/sns/auth", **query)).told == {"errcode": 0, "errmsg": "ok"}

    play(scenario)


def test_who_was_not_asked_is_known_by_an_open_id_only() -> None:
    async def scenario(one: Apps) -> None:
        told = await one.signed_in(scope="snsapi_base", person="韩梅梅")
        assert has_the_shape(told, "sns-access_token", "is_snapshotuser", "unionid")
        query = {"access_token": told["access_token"], "openid": told["openid"]}
        assert (await one.get("/sns/userinfo", **query)).code == 48001
        assert (await one.get("/sns/auth", **query)).code == 0

    play(scenario)


def test_a_code_is_good_once_for_its_app_and_5_minutes() -> None:
    async def scenario(one: Apps) -> None:
        code = await one.code()
        assert (await one.exchange(code, OTHER)).code == 40029
        assert (await one.exchange(code, secret="wrong")).code == 40125
        assert (await one.exchange(code)).code == 0
        got = await one.exchange(code)
        assert (got.status, got.code) == (200, 40163)
        assert got.told["errmsg"].startswith("code been used rid: ")
        late, made_to_end = await one.code(), await one.code()
        one.clock.offset += 301
        assert (await one.exchange(late)).code == 42003
        fresh = await one.code()
        await one.post("/simulator/expire", {"what": "codes"})
        assert (await one.exchange(fresh)).code == 42003
        assert (await one.exchange(made_to_end)).code == 42003

    play(scenario)


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({"appid": LEFT_OUT}, 41002),
        ({"appid": "wxunknown"}, 40013),
        ({"secret": LEFT_OUT}, 41004),
        ({"secret": "wrong"}, 40125),
        ({"grant_type": "client_credential"}, 40002),
        ({"grant_type": LEFT_OUT}, 40002),
        ({"code": LEFT_OUT}, 41008),
        ({"code": ""}, 41008),
        ({"code": "BAD"}, 40029),
    ],
)
def test_what_is_wrong_with_an_exchange_is_told(given: dict[str, str], errcode: int) -> None:
    async def scenario(one: Apps) -> None:
        code = await one.code()
        got = await one.exchange(**{"code": code, **given})
        assert (got.status, got.code) == (200, errcode)
        if errcode == 40029:
            said = SAMPLES["sns-access_token-bad-code"]["errmsg"]
            assert got.told["errmsg"].startswith(said)
        # Nothing came of it.
        assert (await one.exchange(code)).code == 0
        # A mini program's endpoint says the same, of its own code.
        others = {"js_code" if name == "code" else name: value for name, value in given.items()}
        assert (await session(one, await js_code(one), **others)).code == errcode

    play(scenario)


def test_a_users_token_ends_and_is_renewed() -> None:
    async def scenario(one: Apps) -> None:
        told = await one.signed_in(person="韩梅梅")
        who = {"access_token": told["access_token"], "openid": told["openid"]}

        async def renewed() -> Got:
            return await one.get(
                "/sns/oauth2/refresh_token",
                appid=OFFICIAL,
                grant_type="refresh_token",
                refresh_token=told["refresh_token"],
            )

        same = (await renewed()).told
        assert has_the_shape({**same, "unionid": ""}, "sns-access_token", "is_snapshotuser")
        assert same == told
        one.clock.offset += 7201
        for path in ("/sns/userinfo", "/sns/auth"):
            assert (await one.get(path, **who)).code == 42001
        new = (await renewed()).told
        assert new["access_token"] != told["access_token"]
        assert (await one.get("/sns/userinfo", **{**who, "access_token": new["access_token"]})).told
        await one.post("/simulator/expire", {"what": "user_tokens"})
        who["access_token"] = new["access_token"]
        assert (await one.get("/sns/userinfo", **who)).code == 42001
        assert (await renewed()).code == 0
        await one.post("/simulator/expire", {"what": "refresh_tokens"})
        assert (await renewed()).code == 42002

    play(scenario)


@pytest.mark.parametrize(
    ("given", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"appid": "wxunknown"}, 40013),
        ({"appid": OTHER}, 40030),
        ({"grant_type": "authorization_code"}, 40002),
        ({"refresh_token": ""}, 41003),
        ({"refresh_token": "BAD"}, 40030),
    ],
)
def test_what_is_wrong_with_a_renewal_is_told(given: dict[str, str], errcode: int) -> None:
    async def scenario(one: Apps) -> None:
        told = await one.signed_in()
        query = {"appid": OFFICIAL, "grant_type": "refresh_token"}
        query["refresh_token"] = told["refresh_token"]
        assert (await one.get("/sns/oauth2/refresh_token", **query | given)).code == errcode

    play(scenario)


@pytest.mark.parametrize("path", ["/sns/userinfo", "/sns/auth"])
def test_a_token_is_one_users_and_no_accounts(path: str) -> None:
    async def scenario(one: Apps) -> None:
        mine, other = await one.signed_in(), await one.signed_in(person="韩梅梅")
        accounts, _ = one.account().tokens.plain()
        for token, open_id, errcode in (
            ("", mine["openid"], 41001),
            ("BAD", mine["openid"], 40001),
            (accounts, mine["openid"], 40001),
            (mine["access_token"], "", 41009),
            (mine["access_token"], "BAD", 40003),
            (mine["access_token"], other["openid"], 40003),
            (other["access_token"], other["openid"], 0),
        ):
            assert (await one.get(path, access_token=token, openid=open_id)).code == errcode
        # Nor does a user's token do what an account's does.
        got = await one.get("/cgi-bin/user/info", access_token=mine["access_token"], openid=USER)
        assert got.code == 40001

    play(scenario)


def test_a_mini_program_learns_who_signed_in() -> None:
    async def scenario(one: Apps) -> None:
        code = await js_code(one)
        told = (await session(one, code)).told
        assert has_the_shape(told, "jscode2session")
        assert len(base64.b64decode(told["session_key"])) == 16
        first = one.world.people.first
        assert told["openid"] == one.world.open_id(one.account(MINI), first) != USER
        assert told["unionid"] == first.union_id
        assert (await session(one, code)).code == 40163
        again = (await session(one, await js_code(one))).told
        assert again["session_key"] != told["session_key"]
        # Neither kind of code is the other.
        assert (await session(one, await one.code())).code == 40029
        assert (await one.exchange(await js_code(one), MINI)).code == 40029
        given = {"appid": OFFICIAL, "secret": secret(OFFICIAL)}
        assert (await session(one, await js_code(one), **given)).code == 40013

    play(scenario)


def test_a_mini_program_learns_a_phone_number_once() -> None:
    async def scenario(one: Apps) -> None:
        async def code() -> str:
            got = await one.post("/simulator/phone_code", {"appid": MINI, "person": "韩梅梅"})
            return str(got.told["code"])

        given = await code()
        assert (await phone(one, given, OFFICIAL)).code == 48001
        told = (await phone(one, given)).told
        number = one.world.people.get("韩梅梅").phone
        stamp = told["phone_info"]["watermark"].pop("timestamp")
        assert abs(stamp - one.clock()) < 60
        assert told == {
            "errcode": 0,
            "errmsg": "ok",
            "phone_info": {
                "phoneNumber": number,
                "purePhoneNumber": number,
                "countryCode": "86",
                "watermark": {"appid": MINI},
            },
        }
        assert (await phone(one, given)).code == 40029
        assert (await phone(one, await js_code(one))).code == 40029
        late = await code()
        one.clock.offset += 301
        assert (await phone(one, late)).code == 40029
        got = await one.post("/wxa/business/getuserphonenumber?access_token=BAD", {"code": "x"})
        assert got.code == 40001

    play(scenario)


def test_a_virtual_account_is_told_as_one() -> None:
    async def scenario(one: Apps) -> None:
        assert "is_snapshotuser" not in await one.signed_in(person="韩梅梅")
        got = await one.post("/simulator/people/韩梅梅", {"snapshot": True})
        assert got.told["snapshot"] is True
        told = await one.signed_in(person="韩梅梅")
        assert has_the_shape(told, "sns-access_token")
        assert told["is_snapshotuser"] == 1
        assert "is_snapshotuser" not in await one.signed_in()

    play(scenario)


def test_a_follower_is_the_person_who_signs_in() -> None:
    async def scenario(one: Apps) -> None:
        token, _ = one.account().tokens.plain()
        stranger = "oSomebodyWhoWroteAnyway00001"
        people = [one.world.people.get(name) for name in (*POPULATION, "新来的", stranger)]
        ids = [one.world.open_id(one.account(), person) for person in people]
        assert (ids[0], ids[-1]) == (USER, stranger)
        for open_id, person in zip(ids, people, strict=True):
            query = {"access_token": token, "openid": open_id}
            told = (await one.get("/cgi-bin/user/info", **query)).told
            assert (told["unionid"], told["subscribe"]) == (person.union_id, 1)
            assert (await one.signed_in(person=person.key))["openid"] == open_id
        await one.post(f"/simulator/users/{USER}", {"subscribed": False})
        told = (await one.get("/cgi-bin/user/info", access_token=token, openid=USER)).told
        assert told == {"subscribe": 0, "openid": USER, "unionid": people[0].union_id}
        asked = {"user_list": [{"openid": open_id} for open_id in ids]}
        got = await one.post(f"/cgi-bin/user/info/batchget?access_token={token}", asked)
        shown = got.told["user_info_list"]
        assert [user["unionid"] for user in shown] == [person.union_id for person in people]

    play(scenario)


def test_100_000_followers_are_made_at_once_and_listed_a_page_at_a_time() -> None:
    async def scenario(one: Apps) -> None:
        made = {"appid": OFFICIAL, "count": 99_999}
        assert (await one.post("/simulator/followers", made)).told == {"followers": 99_999}
        made["count"] = 1
        assert (await one.post("/simulator/followers", made)).told == {"followers": 100_000}
        token, _ = one.account().tokens.plain()
        seen: list[str] = []
        while True:
            query = {"access_token": token, "next_openid": seen[-1] if seen else ""}
            told = (await one.get("/cgi-bin/user/get", **query)).told
            if not told["count"]:
                break
            assert (told["total"], told["count"]) == (100_000, 10_000)
            seen += told["data"]["openid"]
        assert len({*seen}) == len(seen) == 100_000
        assert all(OPEN_ID.fullmatch(one) for one in seen)
        assert not one.account(OTHER).users

    play(scenario)


def test_signing_in_is_counted_and_meets_faults_and_quotas() -> None:
    async def scenario(one: Apps) -> None:
        code = await one.code()
        one.faults.rates = {ApiFault.BUSY: 1.0}
        assert (await one.exchange(code)).code == -1
        one.faults.rates = {ApiFault.STATUS: 1.0}
        assert (await one.exchange(code)).status == 502
        one.faults.rates = {}
        # What failed took nothing of the code.
        assert (await one.exchange(code)).code == 0
        assert one.server.calls == {"/sns/oauth2/access_token": 3}
        limits = one.account().quotas.limits
        limits["/sns/oauth2/access_token"] = Quota(None, 0)
        assert (await one.exchange(await one.code())).code == 45011
        body = {"cgi_path": "/sns/userinfo"}
        token, _ = one.account().tokens.plain()
        got = await one.post(f"/cgi-bin/openapi/quota/get?access_token={token}", body)
        assert got.code == 76021

    play(scenario)


def test_people_are_listed_with_the_ids_that_apps_know_them_by() -> None:
    async def scenario(one: Apps) -> None:
        await one.code(person="新来的")
        people = (await one.get("/simulator/people")).told["people"]
        assert [person["name"] for person in people] == [*POPULATION, "新来的"]
        assert people[0]["openids"][OFFICIAL] == people[0]["openids"][OTHER] == USER
        for shown in people:
            person = one.world.people.get(shown["name"])
            assert shown == {
                "name": person.name,
                "avatar": person.avatar,
                "unionid": person.union_id,
                "phone": person.phone,
                "snapshot": False,
                "openids": {
                    account.app_id: one.world.open_id(account, person)
                    for account in one.world.accounts()
                },
            }

    play(scenario)


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("code", {"appid": "wxunknown"}, OFFICIAL),
        ("code", {"appid": OFFICIAL, "scope": "snsapi_login"}, "snsapi_userinfo, snsapi_base"),
        ("code", {"appid": MINI}, "none"),
        ("code", {}, "appid"),
        ("code", {"appid": OFFICIAL, "person": ""}, "length"),
        ("js_code", {"appid": OFFICIAL}, "mini_program"),
        ("js_code", {"appid": MINI, "scope": "x"}, "scope"),
        ("phone_code", {"appid": WEBSITE}, "mini_program"),
        ("expire", {"what": "everything"}, "everything"),
        ("followers", {"appid": OFFICIAL, "count": -1}, ">= 0"),
        ("followers", {"appid": OFFICIAL, "count": 5_000_001}, "<= 5000000"),
        ("people/x", {"name": "y"}, "name"),
        ("redirect_host", {"appid": "wxunknown", "host": ""}, OFFICIAL),
    ],
)
def test_what_is_not_understood_changes_nothing_and_is_told(
    path: str, body: object, why: str
) -> None:
    async def scenario(one: Apps) -> None:
        got = await one.post(f"/simulator/{path}", body)
        assert got.status == 400
        assert why in got.told["error"]
        assert not one.world.grants._codes
        assert len(one.world.people.named()) == 3

    play(scenario)
