"""What the console does too: templates, menus, QR codes, media, quotas (PROTOCOL 7.2, 7.4, 7.7)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.outbound.endpoints import Answer, Caller, given
from gateway.outbound.multipart import File

TEMPLATE_LIST: Final = "/cgi-bin/template/get_all_private_template"
TEMPLATE_ADD: Final = "/cgi-bin/template/api_add_template"
TEMPLATE_REMOVE: Final = "/cgi-bin/template/del_private_template"
MENU_CREATE: Final = "/cgi-bin/menu/create"
MENU_GET: Final = "/cgi-bin/menu/get"
MENU_DELETE: Final = "/cgi-bin/menu/delete"
QRCODE: Final = "/cgi-bin/qrcode/create"
MEDIA_UPLOAD: Final = "/cgi-bin/media/upload"
QUOTA_GET: Final = "/cgi-bin/openapi/quota/get"
QUOTA_CLEAR: Final = "/cgi-bin/clear_quota"
RID_GET: Final = "/cgi-bin/openapi/rid/get"
CALLBACK_ADDRESSES: Final = "/cgi-bin/getcallbackip"

MediaType = Literal["image", "voice", "video", "thumb"]


class AccountTemplate(msgspec.Struct, frozen=True):
    """A template of the account, as the console has it."""

    template_id: str
    title: str
    content: str
    """With ``{{thing1.DATA}}`` where fields go."""
    example: str = ""


class Quota(msgspec.Struct, frozen=True):
    """What is left of an endpoint's calls today."""

    daily_limit: int
    used: int
    remain: int


class Templates:
    """The account's templates."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def list(self) -> "list[AccountTemplate]":
        """Return all of them."""
        answer = await self._api.call("GET", TEMPLATE_LIST)
        return msgspec.convert(answer["template_list"], list[AccountTemplate])

    async def add(self, short_id: str, keywords: Sequence[str] = ()) -> str:
        """Add one from the library, with these keywords; return its template id."""
        body = {"template_id_short": short_id, "keyword_name_list": [*keywords]}
        return str((await self._api.call("POST", TEMPLATE_ADD, json=body))["template_id"])

    async def remove(self, template_id: str) -> None:
        """Remove one."""
        await self._api.call("POST", TEMPLATE_REMOVE, json={"template_id": template_id})


class Menu:
    """The account's menu."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def create(self, buttons: Sequence[Mapping[str, Any]]) -> None:
        """Set the menu, in place of the one there is."""
        await self._api.call("POST", MENU_CREATE, json={"button": [*buttons]}, repeatable=True)

    async def get(self) -> Answer:
        """Return the menu as WeChat has it; raise RequestRejected, 46003, where there is none."""
        return await self._api.call("GET", MENU_GET)

    async def delete(self) -> None:
        """Remove it."""
        await self._api.call("GET", MENU_DELETE)


class Console:
    """The rest."""

    def __init__(self, api: Caller, app_id: str) -> None:
        self._api = api
        self._app_id = app_id

    async def qrcode(self, scene: int | str, *, seconds: int | None = None) -> Answer:
        """Make a QR code, for up to 30 days or, without ``seconds``, for good.

        The answer has the ``ticket`` of its picture and the ``url`` in it.
        """
        kind = "STR_" * isinstance(scene, str)
        limited = "LIMIT_" * (seconds is None)
        name = "scene_str" if isinstance(scene, str) else "scene_id"
        body = given(
            expire_seconds=seconds,
            action_name=f"QR_{limited}{kind}SCENE",
            action_info={"scene": {name: scene}},
        )
        return await self._api.call("POST", QRCODE, json=body)

    async def upload(self, kind: MediaType, file: File) -> str:
        """Upload a file, which WeChat keeps for 3 days; return its media id."""
        answer = await self._api.call("POST", MEDIA_UPLOAD, query={"type": kind}, file=file)
        return str(answer["thumb_media_id" if kind == "thumb" else "media_id"])

    async def quota(self, path: str) -> Quota:
        """Return what is left of an endpoint's calls today."""
        answer = await self._api.call("POST", QUOTA_GET, json={"cgi_path": path}, repeatable=True)
        return msgspec.convert(answer["quota"], Quota)

    async def clear_quota(self) -> None:
        """Let all quotas begin anew; WeChat allows it 10 times a month."""
        await self._api.call("POST", QUOTA_CLEAR, json={"appid": self._app_id})

    async def explain(self, rid: str) -> Answer:
        """Return what WeChat knows of a failed request of the last 7 days, by its rid."""
        return await self._api.call("POST", RID_GET, json={"rid": rid}, repeatable=True)

    async def callback_addresses(self) -> list[str]:
        """Return the addresses that WeChat's callbacks come from."""
        return list((await self._api.call("GET", CALLBACK_ADDRESSES))["ip_list"])
