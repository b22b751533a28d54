"""The endpoints by which people sign in, and a mini program's for phone numbers (PROTOCOL 7.5)."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from gateway.simulator.api.grants import INVALID_CODE, TOKEN_SECONDS, Consent, Grant, Kind
from gateway.simulator.api.managing import OK
from gateway.simulator.api.sending import Answer, Body, Failed
from gateway.simulator.api.world import Account, World

Query = Mapping[str, str]
_T = TypeVar("_T")

ACCESS_TOKEN: Final = "/sns/oauth2/access_token"  # noqa: S105  # a path
REFRESH_TOKEN: Final = "/sns/oauth2/refresh_token"  # noqa: S105  # a path
USER_INFO: Final = "/sns/userinfo"
AUTH: Final = "/sns/auth"
JS_CODE: Final = "/sns/jscode2session"
PHONE: Final = "/wxa/business/getuserphonenumber"

BASE: Final = "snsapi_base"
USERINFO: Final = "snsapi_userinfo"
LOGIN: Final = "snsapi_login"

SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "official_account": (USERINFO, BASE),
    "mobile_app": (USERINFO,),
    "website": (LOGIN,),
    "mini_program": (),
}
"""What apps of each platform may ask for; the first is what a person sees a page for."""

_SAID: Final[Mapping[int, str]] = {
    40001: "invalid credential, access_token is invalid or not latest",
    40029: "invalid code",
    40030: "invalid refresh_token",
    40163: "code been used",
    42001: "access_token expired",
    42002: "refresh_token expired",
    42003: "code expired",
    45011: "api minute-quota reach limit  mustslower  retry next minute",
}
"""WeChat's own words where they are known (vectors/api.json); else in its manner."""


def exchange_code(world: World, query: Query) -> Answer:
    """Give a user's tokens for a code."""
    account = _known(world, query, ACCESS_TOKEN)
    return _tokens(world, world.grants.begin(_redeemed(world, account, query, Kind.OAUTH, "code")))


def renew_token(world: World, query: Query) -> Answer:
    """Give a user's token for a refresh token; no secret is asked for."""
    account = _named(world, query, REFRESH_TOKEN)
    if query.get("grant_type") != "refresh_token":
        raise Failed(40002, "invalid grant_type")
    refresh_token = query.get("refresh_token")
    if not refresh_token:
        raise Failed(41003, "refresh_token missing")
    return _tokens(world, _sound(world.grants.renew(account.app_id, refresh_token)))


def show_person(world: World, query: Query) -> Answer:
    """Tell an app about somebody who agreed to that.

    Sex and places are empty since 2021-10-20, as the platform's page says.
    """
    grant, account = _granted(world, query, USER_INFO)
    if grant.consent.scope == BASE:
        raise Failed(48001, "api unauthorized")
    person = grant.consent.person
    return {
        "openid": world.open_id(account, person),
        "nickname": person.name,
        "sex": 0,
        "city": "",
        "province": "",
        "country": "",
        "headimgurl": person.avatar,
        "privilege": [],
        "unionid": person.union_id,
    }


def check_token(world: World, query: Query) -> Answer:
    """Tell that a user's token holds."""
    _granted(world, query, AUTH)
    return OK


def start_session(world: World, query: Query) -> Answer:
    """Give a mini program a user's ids, and a key for what it gets encrypted."""
    account = _known(world, query, JS_CODE)
    if account.platform != "mini_program":
        raise Failed(40013, "invalid appid")
    person = _redeemed(world, account, query, Kind.JS, "js_code").person
    return {
        "openid": world.open_id(account, person),
        "session_key": world.grants.session_key(),
        "unionid": person.union_id,
    }


def show_phone(world: World, account: Account, body: Body) -> Answer:
    """Give a mini program a user's phone number for a code; whatever is wrong with it is 40029."""
    if account.platform != "mini_program":
        raise Failed(48001, "api unauthorized")
    found = world.grants.redeem(Kind.PHONE, account.app_id, str(body.get("code", "")))
    if isinstance(found, int):
        raise Failed(INVALID_CODE, _SAID[INVALID_CODE])
    told = {
        "phoneNumber": found.person.phone,
        "purePhoneNumber": found.person.phone,
        "countryCode": "86",
        "watermark": {"timestamp": int(world.clock()), "appid": account.app_id},
    }
    return {**OK, "phone_info": told}


def _tokens(world: World, grant: Grant) -> Answer:
    consent = grant.consent
    account = world.known(consent.app_id)
    answer: Answer = {
        "access_token": grant.token,
        "expires_in": TOKEN_SECONDS,
        "refresh_token": grant.refresh_token,
        "openid": world.open_id(account, consent.person),
        "scope": consent.scope,
    }
    if consent.is_snapshot:
        answer["is_snapshotuser"] = 1
    if consent.scope != BASE:
        # Who agreed to nothing is known by an open id only.
        answer["unionid"] = consent.person.union_id
    return answer


def _named(world: World, query: Query, path: str) -> Account:
    """Return the account that a call is for, and count the call."""
    if not query.get("appid"):
        raise Failed(41002, "appid missing")
    account = world.account(query["appid"])
    if account is None:
        raise Failed(40013, "invalid appid")
    _count(account, path)
    return account


def _known(world: World, query: Query, path: str) -> Account:
    """Return the account that proves itself by its secret, and count the call."""
    account = _named(world, query, path)
    if not query.get("secret"):
        raise Failed(41004, "appsecret missing")
    if query["secret"] != account.secret:
        raise Failed(40125, "invalid appsecret")
    return account


def _redeemed(world: World, account: Account, query: Query, kind: Kind, name: str) -> Consent:
    if query.get("grant_type") != "authorization_code":
        raise Failed(40002, "invalid grant_type")
    if not query.get(name):
        raise Failed(41008, "missing code")
    return _sound(world.grants.redeem(kind, account.app_id, query[name]))


def _granted(world: World, query: Query, path: str) -> tuple[Grant, Account]:
    """Return what a user's token stands for, and whose it is, and count the call."""
    if not query.get("access_token"):
        raise Failed(41001, "access_token missing")
    grant = _sound(world.grants.check(query["access_token"]))
    account = world.known(grant.consent.app_id)
    _count(account, path)
    if not query.get("openid"):
        raise Failed(41009, "missing openid")
    if query["openid"] != world.open_id(account, grant.consent.person):
        raise Failed(40003, "invalid openid")
    return grant, account


def _sound(found: _T | int) -> _T:
    if isinstance(found, int):
        raise Failed(found, _SAID[found])
    return found


def _count(account: Account, path: str) -> None:
    if code := account.quotas.take(path):
        raise Failed(code, _SAID[code])


SNS: Final[Mapping[str, Callable[[World, Query], Answer]]] = {
    ACCESS_TOKEN: exchange_code,
    REFRESH_TOKEN: renew_token,
    USER_INFO: show_person,
    AUTH: check_token,
    JS_CODE: start_session,
}
"""What takes no access token of an account."""

PHONES: Final[Mapping[str, Callable[[World, Account, Body], Answer]]] = {PHONE: show_phone}
