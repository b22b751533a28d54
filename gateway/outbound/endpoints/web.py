"""Signing users in: web authorization and mini programs (PROTOCOL 7.5).

No token of an account is used, but for phone numbers.
"""

from typing import Any, Final, TypeVar

import msgspec

from gateway.errors import Unanswered
from gateway.outbound.api import WeChatApi
from gateway.outbound.credentials import Credentials

_T = TypeVar("_T")

ACCESS_TOKEN: Final = "/sns/oauth2/access_token"  # noqa: S105  # a path
REFRESH_TOKEN: Final = "/sns/oauth2/refresh_token"  # noqa: S105
USER_INFO: Final = "/sns/userinfo"
CODE_TO_SESSION: Final = "/sns/jscode2session"
PHONE_NUMBER: Final = "/wxa/business/getuserphonenumber"


class UserGrant(msgspec.Struct, frozen=True):
    """What a user let an app have: tokens that are theirs, not the account's."""

    access_token: str
    expires_in: float
    """Seconds."""
    refresh_token: str
    open_id: str = msgspec.field(name="openid")
    scope: str = ""
    """Those that were granted, with commas between them."""
    union_id: str | None = msgspec.field(name="unionid", default=None)
    is_snapshot: int = msgspec.field(name="is_snapshotuser", default=0)
    """1 for the virtual user of a page's preview, who is nobody."""

    def __repr__(self) -> str:
        return f"UserGrant(scope={self.scope})"


class UserProfile(msgspec.Struct, frozen=True):
    """What a user shows of themselves."""

    open_id: str = msgspec.field(name="openid")
    nickname: str = ""
    avatar: str = msgspec.field(name="headimgurl", default="")
    """A URL, or nothing."""
    union_id: str | None = msgspec.field(name="unionid", default=None)

    def __repr__(self) -> str:
        return "UserProfile()"


class MiniProgramGrant(msgspec.Struct, frozen=True):
    """Who a mini program's user is."""

    open_id: str = msgspec.field(name="openid")
    session_key: str
    """For what the mini program seals; it never leaves the server."""
    union_id: str | None = msgspec.field(name="unionid", default=None)

    def __repr__(self) -> str:
        return "MiniProgramGrant()"


class PhoneNumber(msgspec.Struct, frozen=True):
    """A user's phone number."""

    number: str = msgspec.field(name="phoneNumber")
    """With the country's code where it is not China's."""
    pure: str = msgspec.field(name="purePhoneNumber")
    country: str = msgspec.field(name="countryCode")

    def __repr__(self) -> str:
        return "PhoneNumber()"


class WebAuthorization:
    """Exchanges what users' apps bring for who they are.

    A code is good once (40163): a call that may have arrived is not repeated.
    """

    def __init__(self, api: WeChatApi, credentials: Credentials) -> None:
        """``api`` is one without tokens."""
        self._api = api
        self._credentials = credentials

    async def exchange(self, code: str) -> UserGrant:
        """Return what the code of a page or an app was given for."""
        query = {
            "appid": self._credentials.app_id,
            "secret": self._credentials.secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        return await self._get(ACCESS_TOKEN, query, UserGrant, repeatable=False)

    async def refresh(self, refresh_token: str) -> UserGrant:
        """Return a new access token of a user; the refresh token is good for 30 days."""
        query = {
            "appid": self._credentials.app_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        return await self._get(REFRESH_TOKEN, query, UserGrant)

    async def profile(self, access_token: str, open_id: str, lang: str = "zh_CN") -> UserProfile:
        """Return what a user shows of themselves; needs the scope snsapi_userinfo, else 48001."""
        query = {"access_token": access_token, "openid": open_id, "lang": lang}
        return await self._get(USER_INFO, query, UserProfile)

    async def mini_program(self, js_code: str) -> MiniProgramGrant:
        """Return who the code of ``wx.login`` is of."""
        query = {
            "appid": self._credentials.app_id,
            "secret": self._credentials.secret,
            "js_code": js_code,
            "grant_type": "authorization_code",
        }
        return await self._get(CODE_TO_SESSION, query, MiniProgramGrant, repeatable=False)

    async def _get(
        self, path: str, query: dict[str, str], kind: type[_T], *, repeatable: bool = True
    ) -> _T:
        answer = await self._api.call("GET", path, query=query, repeatable=repeatable)
        return read(path, answer, kind)


async def phone_number(api: WeChatApi, code: str) -> PhoneNumber:
    """Return the phone number that a mini program's ``getPhoneNumber`` gave this code for."""
    answer = await api.call("POST", PHONE_NUMBER, json={"code": code}, repeatable=False)
    return read(PHONE_NUMBER, answer.get("phone_info"), PhoneNumber)


def read(path: str, answer: Any, kind: type[_T]) -> _T:
    """Return an answer as this kind; raise Unanswered, with nothing of it, where it is none."""
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:
        raise Unanswered(f"{path}: an answer that lacks what it should have") from None
