"""Calls of WeChat's API: what is tried again, what is not, and what an error tells."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from gateway.adapters.memory_tokens import MemoryTokens
from gateway.errors import (
    ApiError,
    Busy,
    RequestRejected,
    Throttled,
    TokenRejected,
    Unanswered,
    UnknownErrcode,
    UserRejected,
)
from gateway.outbound.api import Retries, WeChatApi, answer_of
from gateway.outbound.endpoints.console import Console, Menu, Templates
from gateway.outbound.endpoints.followers import Tags, Users
from gateway.outbound.endpoints.messages import CUSTOM, TEMPLATE, Messages, Page
from gateway.outbound.multipart import File
from gateway.outbound.ports import ApiResponse
from gateway.simulator.api.faults import ApiFault
from tests.outbound.desk import APP_ID, USER, Desk, desk

Scenario = Callable[[Desk, WeChatApi], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Run a scenario against a platform of its own."""

    async def run() -> None:
        async with desk() as one:
            transport = one.transport()
            try:
                await scenario(one, one.api(MemoryTokens(), transport)[0])
            finally:
                await transport.close()

    asyncio.run(run())


def response(body: bytes, status: int = 200) -> ApiResponse:
    """Return what was answered."""
    return ApiResponse(status, "text/plain", body)


def test_an_answer_without_an_errcode_is_a_success() -> None:
    assert answer_of("/x", response(b'{"ip_list":[]}')) == {"ip_list": []}
    big = b'{"errcode":0,"msgid":9007199254740993}'
    assert answer_of("/x", response(big))["msgid"] == 9007199254740993


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40001, TokenRejected),
        (-1, Busy),
        (45009, Throttled),
        (43004, UserRejected),
        (47003, RequestRejected),
        (123456, UnknownErrcode),
    ],
)
def test_an_errcode_is_the_error_that_says_what_to_do(code: int, kind: type[ApiError]) -> None:
    body = f'{{"errcode":{code},"errmsg":"some words rid: 617682e0-09059ac5-34a8e2ea"}}'.encode()
    with pytest.raises(kind) as raised:
        answer_of("/cgi-bin/x", response(body))
    assert "some words" in str(raised.value)
    assert "617682e0-09059ac5-34a8e2ea" in str(raised.value)
    assert str(code) in str(raised.value)


def test_a_mass_message_that_was_taken_before_is_a_success() -> None:
    body = b'{"errcode":45065,"errmsg":"clientmsgid exist","msg_id":34182}'
    assert answer_of("/x", response(body))["msg_id"] == 34182


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>502</html>", 502),
        (b"{}", 503),
        (b"<html>captive portal</html>", 200),
        (b"[]", 200),
        (b"", 200),
        (b'{"errcode":"x"}', 200),
        (b"[" * 100_000, 200),
    ],
)
def test_what_is_no_answer_of_wechats_leaves_it_open_whether_it_was_done(
    body: bytes, status: int
) -> None:
    with pytest.raises(Unanswered):
        answer_of("/x", response(body, status))


async def send(api: WeChatApi, key: str | None = None) -> int:
    """Send a template message."""
    data = {"thing1": "巧克力 \\u 😀", "amount2": "39.8元"}
    return await Messages(api).template(USER, "T1", data, client_msg_id=key)


def test_a_message_that_may_have_gone_out_is_not_sent_again() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        await send(api)
        for fault in (ApiFault.RESET_AFTER, ApiFault.HALF):
            one.faults.rates = {fault: 1.0}
            before = len(one.account.ledger.received)
            with pytest.raises(Unanswered):
                await send(api)
            assert len(one.account.ledger.received) == before + 1

    play(scenario)


def test_with_an_id_of_ours_it_is_sent_again_and_arrives_once() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        await send(api)
        api._retries = Retries(tries=30, base=0.001, cap=0.001)
        one.faults.rates = {
            ApiFault.RESET_AFTER: 0.2,
            ApiFault.HALF: 0.2,
            ApiFault.RESET_BEFORE: 0.1,
            ApiFault.STATUS: 0.1,
            ApiFault.BUSY: 0.1,
        }
        for number in range(40):
            await send(api, f"order-{number}")
        one.faults.rates = {}
        counts = one.account.ledger.counts()
        assert [counts[USER, f"order-{number}"] for number in range(40)] == [1] * 40

    play(scenario)


def test_a_body_that_is_ready_is_posted_as_it_is() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        data = '{"thing1":{"value":"巧克力"},"amount2":{"value":"1元"}}'
        body = f'{{"touser":"{USER}","template_id":"T1","client_msg_id":"k","data":{data}}}'
        first = await api.post(TEMPLATE, body.encode())
        one.account.tokens.kill()
        again = await api.post(TEMPLATE, body.encode(), repeatable=True, retries=Retries(1))
        assert (first["msgid"], one.server.calls[TEMPLATE]) == (again["msgid"], 3)
        one.faults.rates = {ApiFault.RESET_BEFORE: 1.0}
        for repeatable, calls in ((False, 4), (True, 7)):
            with pytest.raises(Unanswered):
                await api.post(TEMPLATE, body.encode(), repeatable=repeatable)
            assert one.server.calls[TEMPLATE] == calls

    play(scenario)


def test_what_wechat_was_too_busy_for_is_tried_again_so_often_only() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        await send(api)
        before = one.server.calls[TEMPLATE]
        one.faults.rates = {ApiFault.BUSY: 1.0}
        with pytest.raises(Busy):
            await send(api)
        assert one.server.calls[TEMPLATE] == before + 3

    play(scenario)


def dead(value: str) -> int:
    """Refuse every token as expired."""
    return 42001 if value else 41001


def test_a_token_that_is_dead_for_ever_costs_one_more_call() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        await send(api)
        before = one.server.calls[TEMPLATE]
        one.account.tokens.kill()
        one.account.tokens.check = dead  # type: ignore[method-assign]
        with pytest.raises(TokenRejected):
            await send(api)
        assert one.server.calls[TEMPLATE] == before + 2

    play(scenario)


def test_the_platforms_refusals_name_their_reason() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        messages = Messages(api)
        sound = {"thing1": "x", "amount2": "1元"}
        with pytest.raises(RequestRejected, match=r"data\.thing1\.value"):
            await messages.template(USER, "T1", {"thing1": "长" * 21, "amount2": "1元"})
        with pytest.raises(RequestRejected, match="40037"):
            await messages.template(USER, "T2", sound)
        with pytest.raises(UserRejected, match="40003"):
            await messages.template("nobody", "T1", sound)
        with pytest.raises(UserRejected, match="45015"):
            await messages.custom(USER, "text", {"content": "你好"})
        with pytest.raises(UserRejected, match="43101"):
            await messages.notice(USER, "T1", sound)
        one.account.quotas.limits[TEMPLATE] = one.account.quotas.limits[TEMPLATE]._replace(daily=0)
        with pytest.raises(Throttled, match="45009"):
            await messages.template(USER, "T1", sound)

    play(scenario)


def test_every_way_of_sending_arrives() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        messages, user = Messages(api), one.account.user(USER)
        assert user is not None
        user.wrote_at, user.answers_left = one.clock(), 5
        user.consents["T1"] = 3
        data = {"thing1": "巧克力", "amount2": "39.8元"}
        page = Page("wxmini", "index?foo=bar")
        msgid = await messages.template(USER, "T1", data, url="https://example.com", page=page)
        assert msgid > 1 << 53
        await messages.notice(USER, "T1", data, page=page)
        assert (await messages.mini_program_notice(USER, "T1", data, path="index")) is not None
        await messages.one_time(USER, "T1", "标题", "内容", scene=1000)
        await messages.custom(USER, "text", {"content": "你好"}, agent="test1@test")
        await messages.typing(USER)
        await messages.mass("text", {"content": "大家好"}, open_ids=[USER, USER[:-1] + "2"])
        taken = await messages.mass("text", {"content": "x"}, client_msg_id="m1")
        again = await messages.mass("text", {"content": "x"}, client_msg_id="m1")
        assert again["msg_id"] == taken["msg_id"]
        ways = [received.channel.rpartition("/")[2] for received in one.account.ledger.of(USER)]
        expected = ["send", "bizsend", "send", "subscribe", "send", "send", "sendall"]
        assert ways == expected
        assert one.account.ledger.of(USER)[4].channel == CUSTOM
        assert [receipt.event for receipt in one.receipts] == [
            "TEMPLATESENDJOBFINISH",
            "subscribe_msg_sent_event",
            "subscribe_msg_sent_event",
            "MASSSENDJOBFINISH",
            "MASSSENDJOBFINISH",
        ]

    play(scenario)


def test_users_tags_menus_and_the_rest_are_managed() -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        users, tags, menu = Users(api), Tags(api), Menu(api)
        console, templates = Console(api, APP_ID), Templates(api)
        names = [f"oUser{number:023}" for number in range(120)]
        assert [one.open_id for one in await users.infos(names)] == names
        assert (await users.info(USER)).subscribe == 1
        found = [name async for page in users.open_ids() for name in page]
        assert set(found) == {*names, USER}
        await users.remark(USER, "老客户")
        assert (await users.info(USER)).remark == "老客户"
        tag = await tags.create("广东")
        await tags.add(tag.id, names)
        assert {known.name: known.count for known in await tags.list()}["广东"] == 120
        assert await tags.of(names[0]) == (tag.id,)
        await tags.remove(tag.id, names)
        assert await tags.of(names[0]) == ()
        with pytest.raises(RequestRejected, match="46003"):
            await menu.get()
        await menu.create([{"type": "click", "name": "今日歌曲", "key": "V1"}])
        assert (await menu.get())["menu"]["button"][0]["name"] == "今日歌曲"
        await menu.delete()
        for scene, seconds in ((123, 600), ("gate-7", 600), (123, None), ("gate-7", None)):
            assert "ticket" in await console.qrcode(scene, seconds=seconds)
        picture = bytes(range(256)) * 40
        media = await console.upload("image", File("猫.jpg", picture, "image/jpeg"))
        assert one.account.media[media] == ("image", picture)
        assert await console.upload("thumb", File("a.jpg", b"x"))
        added = await templates.add("TM00015", ["消费校区"])
        assert added in {known.template_id for known in await templates.list()}
        await templates.remove(added)
        assert (await console.quota(TEMPLATE)).daily_limit == 100_000
        await console.clear_quota()
        assert await console.callback_addresses() == ["127.0.0.1"]

    play(scenario)


def test_nothing_of_a_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(one: Desk, api: WeChatApi) -> None:
        await send(api)
        for fault in ApiFault:
            one.faults.rates = {fault: 1.0}
            with pytest.raises(ApiError) as raised:
                await send(api)
            told = str(raised.value) + repr(raised.value)
            assert not any(secret in told for secret in ("token-", "巧克力", USER))

    with caplog.at_level(logging.DEBUG):
        play(scenario)
    assert "token-1" not in caplog.text
    assert USER not in caplog.text
