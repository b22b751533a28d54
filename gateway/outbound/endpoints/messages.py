"""What reaches users (PROTOCOL 7.2 and 7.3)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.outbound.endpoints import Answer, Caller, given

TEMPLATE: Final = "/cgi-bin/message/template/send"
BIZSEND: Final = "/cgi-bin/message/subscribe/bizsend"
MINI_PROGRAM: Final = "/cgi-bin/message/subscribe/send"
ONE_TIME: Final = "/cgi-bin/message/template/subscribe"
CUSTOM: Final = "/cgi-bin/message/custom/send"
TYPING: Final = "/cgi-bin/message/custom/typing"
MASS_BY_TAG: Final = "/cgi-bin/message/mass/sendall"
MASS_BY_OPEN_ID: Final = "/cgi-bin/message/mass/send"

Data = Mapping[str, str]
"""The values of a template's fields by their names, such as ``thing1``."""


class Page(NamedTuple):
    """A mini program's page that a message leads to."""

    app_id: str
    path: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as WeChat takes it."""
        return given(appid=self.app_id, pagepath=self.path)


class Messages:
    """Sends messages. None of these is sent again by itself where nobody knows if it was sent."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def template(
        self,
        open_id: str,
        template_id: str,
        data: Data,
        *,
        url: str | None = None,
        page: Page | None = None,
        client_msg_id: str | None = None,
    ) -> int:
        """Send a template message; return its msgid, which its receipt has too.

        With a ``client_msg_id`` a user gets it once within 10 minutes, however often it is sent:
        then an answer that did not come is asked for again.
        """
        body = _filled(open_id, template_id, data, page, url=url, client_msg_id=client_msg_id)
        repeatable = client_msg_id is not None
        answer = await self._api.call("POST", TEMPLATE, json=body, repeatable=repeatable)
        return int(answer["msgid"])

    async def notice(
        self,
        open_id: str,
        template_id: str,
        data: Data,
        *,
        url: str | None = None,
        page: Page | None = None,
    ) -> None:
        """Send a subscription notice, which takes one of the user's consents (订阅通知)."""
        body = _filled(open_id, template_id, data, page, page=url)
        await self._api.call("POST", BIZSEND, json=body)

    async def mini_program_notice(
        self,
        open_id: str,
        template_id: str,
        data: Data,
        *,
        path: str | None = None,
        state: str | None = None,
        lang: str | None = None,
    ) -> int | None:
        """Send a mini program's subscription message; return its msgid where there is one.

        ``state`` is developer, trial or formal.
        """
        more = {"page": path, "miniprogram_state": state, "lang": lang}
        body = _filled(open_id, template_id, data, None, **more)
        msgid = (await self._api.call("POST", MINI_PROGRAM, json=body)).get("msgid")
        return None if msgid is None else int(msgid)

    async def one_time(
        self,
        open_id: str,
        template_id: str,
        title: str,
        content: str,
        *,
        scene: int,
        url: str | None = None,
        page: Page | None = None,
    ) -> None:
        """Send the one message that a user agreed to on a page (一次性订阅消息)."""
        more = {"url": url, "scene": str(scene), "title": title}
        body = _filled(open_id, template_id, {"content": content}, page, **more)
        await self._api.call("POST", ONE_TIME, json=body)

    async def custom(
        self, open_id: str, msg_type: str, content: Mapping[str, Any], *, agent: str | None = None
    ) -> None:
        """Send a customer-service message: ``custom(user, "text", {"content": "你好"})``.

        ``agent`` is the account of customer service in whose name it is sent (kf_account).
        """
        service = None if agent is None else {"kf_account": agent}
        body = given(touser=open_id, msgtype=msg_type, customservice=service)
        await self._api.call("POST", CUSTOM, json=body | {msg_type: dict(content)})

    async def typing(self, open_id: str, *, ended: bool = False) -> None:
        """Show the user that somebody types, or not any more."""
        body = {"touser": open_id, "command": "CancelTyping" if ended else "Typing"}
        await self._api.call("POST", TYPING, json=body)

    async def mass(
        self,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        tag_id: int | None = None,
        open_ids: Sequence[str] | None = None,
        client_msg_id: str | None = None,
    ) -> Answer:
        """Send to all followers, to those with a tag, or to 2 to 10,000 by their open ids.

        The answer's ``msg_id`` says that it was taken; MASSSENDJOBFINISH says what became of it.
        With a ``client_msg_id`` it is sent once within 24 hours.
        """
        body: dict[str, Any] = {"msgtype": msg_type}
        if open_ids is not None:
            path, body["touser"] = MASS_BY_OPEN_ID, list(open_ids)
        else:
            path = MASS_BY_TAG
            body["filter"] = given(is_to_all=tag_id is None, tag_id=tag_id)
        # Pictures have a name of their own for several.
        body["images" if msg_type == "image" else msg_type] = dict(content)
        body |= given(clientmsgid=client_msg_id)
        return await self._api.call("POST", path, json=body, repeatable=client_msg_id is not None)


def _filled(
    open_id: str, template_id: str, data: Data, leads_to: Page | None, /, **more: str | None
) -> dict[str, Any]:
    """Return the body that all kinds of templates have, with ``more`` of one's own."""
    return given(
        touser=open_id,
        template_id=template_id,
        miniprogram=None if leads_to is None else leads_to.document(),
        data={name: {"value": value} for name, value in data.items()},
        **more,
    )
