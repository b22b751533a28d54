"""Users and their tags (PROTOCOL 7.4)."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from gateway.errors import Unanswered, UserRejected
from gateway.outbound.endpoints import Caller

INFO: Final = "/cgi-bin/user/info"
INFO_BATCH: Final = "/cgi-bin/user/info/batchget"
LIST: Final = "/cgi-bin/user/get"
REMARK: Final = "/cgi-bin/user/info/updateremark"
TAG_CREATE: Final = "/cgi-bin/tags/create"
TAG_LIST: Final = "/cgi-bin/tags/get"
TAG_USERS: Final = "/cgi-bin/tags/members/batchtagging"
UNTAG_USERS: Final = "/cgi-bin/tags/members/batchuntagging"
TAG_MEMBERS: Final = "/cgi-bin/user/tag/get"
TAGS_OF_USER: Final = "/cgi-bin/tags/getidlist"

INFO_AT_ONCE: Final = 100
TAGGED_AT_ONCE: Final = 50


class UserInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What WeChat tells of a user; of one who does not follow, no more than the open id."""

    open_id: str = msgspec.field(name="openid")
    subscribe: int = 0
    union_id: str | None = msgspec.field(name="unionid", default=None)
    language: str = ""
    subscribe_time: int = 0
    """Unix seconds."""
    remark: str = ""
    tag_ids: tuple[int, ...] = msgspec.field(name="tagid_list", default=())
    subscribe_scene: str = ""
    qr_scene: int = 0
    qr_scene_str: str = ""


class Tag(msgspec.Struct, frozen=True):
    """A tag, with how many users have it."""

    id: int
    name: str
    count: int = 0


class Users:
    """Asks about followers."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def info(self, open_id: str, lang: str = "zh_CN") -> UserInfo:
        """Return what is known of one user."""
        answer = await self._api.call("GET", INFO, query={"openid": open_id, "lang": lang})
        return msgspec.convert(answer, UserInfo)

    async def infos(self, open_ids: Sequence[str], lang: str = "zh_CN") -> list[UserInfo]:
        """Return what is known of users, 100 to a call."""
        found: list[UserInfo] = []
        for at in range(0, len(open_ids), INFO_AT_ONCE):
            wanted = [{"openid": name, "lang": lang} for name in open_ids[at : at + INFO_AT_ONCE]]
            answer = await self._api.call(
                "POST", INFO_BATCH, json={"user_list": wanted}, repeatable=True
            )
            try:
                found += msgspec.convert(answer.get("user_info_list"), list[UserInfo])
            except msgspec.ValidationError:
                raise Unanswered(f"{INFO_BATCH}: an answer that is no list of users") from None
        return found

    async def those_told(self, open_ids: Sequence[str]) -> list[UserInfo]:
        """Return what is known of users; nothing of those of whom WeChat refuses to tell.

        One whom it does not take (40003) would keep the others from being told.
        """
        try:
            return await self.infos(open_ids)
        except UserRejected:
            if len(open_ids) == 1:
                return []
            half = len(open_ids) // 2
            told = await self.those_told(open_ids[:half])
            return [*told, *await self.those_told(open_ids[half:])]

    async def open_ids(self, after: str = "") -> AsyncIterator[list[str]]:
        """Give the open ids of all followers, up to 10,000 at a time, from behind one."""
        while True:
            answer = await self._api.call("GET", LIST, query={"next_openid": after})
            names: list[str] = (answer.get("data") or {}).get("openid", [])
            after = answer.get("next_openid", "")
            if names:
                yield names
            if not names or not after:
                return

    async def remark(self, open_id: str, remark: str) -> None:
        """Give a user a remark, of less than 30 characters."""
        body = {"openid": open_id, "remark": remark}
        await self._api.call("POST", REMARK, json=body, repeatable=True)


class Tags:
    """Sorts followers."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def create(self, name: str) -> Tag:
        """Make a tag, of up to 30 characters."""
        answer = await self._api.call("POST", TAG_CREATE, json={"tag": {"name": name}})
        return msgspec.convert(answer["tag"], Tag)

    async def list(self) -> "list[Tag]":
        """Return all tags."""
        return msgspec.convert((await self._api.call("GET", TAG_LIST))["tags"], list[Tag])

    async def add(self, tag_id: int, open_ids: Sequence[str]) -> None:
        """Give users a tag, 50 to a call."""
        await self._each(TAG_USERS, tag_id, open_ids)

    async def remove(self, tag_id: int, open_ids: Sequence[str]) -> None:
        """Take a tag from users, 50 to a call."""
        await self._each(UNTAG_USERS, tag_id, open_ids)

    async def of(self, open_id: str) -> "tuple[int, ...]":
        """Return the ids of a user's tags."""
        body = {"openid": open_id}
        answer = await self._api.call("POST", TAGS_OF_USER, json=body, repeatable=True)
        return tuple(answer["tagid_list"])

    async def _each(self, path: str, tag_id: int, open_ids: Sequence[str]) -> None:
        for at in range(0, len(open_ids), TAGGED_AT_ONCE):
            body = {"tagid": tag_id, "openid_list": list(open_ids[at : at + TAGGED_AT_ONCE])}
            await self._api.call("POST", path, json=body, repeatable=True)
