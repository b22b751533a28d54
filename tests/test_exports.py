"""What ``from gateway import …`` gives, and the bot that shows how it is used."""

from collections.abc import Iterator
from typing import Any

import pytest

import gateway
from gateway import (
    Article,
    Bot,
    BotError,
    CallNext,
    CloudEvent,
    ComponentVerifyTicket,
    Context,
    Image,
    ImageReply,
    Message,
    Middleware,
    NewsReply,
    PushRefused,
    Reply,
    TextReply,
)
from gateway.demo import bot as demo_bot
from gateway.protocol import messages, replies
from gateway.protocol.decode import COMPONENT_PUSHES, EVENTS, MESSAGES, decode
from tests.inbound.driving import answer
from tests.support import text_document


def _tree(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _tree(inner)


def test_the_exports_are_sorted_and_none_is_there_twice() -> None:
    assert gateway.__all__ == sorted(set(gateway.__all__))


def test_each_export_is_there_under_its_own_name() -> None:
    for name in gateway.__all__:
        exported = getattr(gateway, name)
        if exported not in (CallNext, Middleware):
            assert exported.__name__ == name


def test_nothing_is_missing_and_nothing_is_too_much() -> None:
    """Every message, event, push and reply, their bases, and what a bot is written with."""
    received = {kind.__name__ for kind in _tree(Message) if kind.__module__.startswith("gateway.")}
    replied = {kind.__name__ for kind in _tree(Reply) if kind.__module__ == replies.__name__}
    others = (Article, Bot, BotError, CloudEvent, Context, PushRefused)
    rest = {kind.__name__ for kind in others}
    assert set(gateway.__all__) == received | replied | rest | {"CallNext", "Middleware"}
    for kind in {*MESSAGES.values(), *EVENTS.values(), *COMPONENT_PUSHES.values()}:
        assert kind.__name__ in gateway.__all__


def test_a_star_import_brings_what_was_promised() -> None:
    names: dict[str, Any] = {}
    exec("from gateway import *", names)  # noqa: S102 - the statement is the thing tested
    assert set(names) - {"__builtins__"} == set(gateway.__all__)
    assert names["Text"] is messages.Text


def test_the_package_says_its_version() -> None:
    assert gateway.__version__.split(".")[0].isdigit()


def _event(name: str, **own: str) -> dict[str, Any]:
    return {"MsgType": "event", "Event": name, **own}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (text_document("你好"), "你好"),
        (text_document(" 帮助"), " 帮助"),
        (text_document("订单 abc"), "订单 abc"),
        (text_document("订单 123"), "订单 123 正在路上 (order 123 is on its way)"),
        (text_document("订单9"), "订单 9 正在路上 (order 9 is on its way)"),
        (_event("subscribe"), "欢迎关注！(Welcome!)"),
        (_event("subscribe", EventKey=""), "欢迎关注！(Welcome!)"),
        (
            _event("subscribe", EventKey="qrscene_1001", Ticket="t"),
            "欢迎关注（来自二维码 1001）！(Welcome!)",
        ),
        (_event("SCAN", EventKey="1001"), "欢迎回来（来自二维码 1001）"),
        ({"MsgType": "hologram"}, "收到 (received)"),
        ({"MsgType": "voice", "MediaId": "v"}, "收到 (received)"),
        ({}, "收到 (received)"),
    ],
    ids=str,
)
def test_the_demo_bot_says_something(fields: dict[str, Any], said: str) -> None:
    assert answer(demo_bot, decode(fields)) == TextReply(said)


def test_the_demo_bot_explains_itself() -> None:
    reply = answer(demo_bot, decode(text_document("帮助")))
    assert isinstance(reply, TextReply)
    assert "订单 123" in reply.content


def test_the_demo_bot_answers_a_picture_with_the_same_picture() -> None:
    assert answer(demo_bot, Image(media_id="m")) == ImageReply("m")


def test_the_demo_bot_answers_its_menu_entry_with_an_article() -> None:
    reply = answer(demo_bot, decode(_event("CLICK", EventKey="V1001")))
    assert isinstance(reply, NewsReply)
    assert [article.url for article in reply.articles] == ["https://example.com/news"]


@pytest.mark.parametrize(
    "fields",
    [
        _event("CLICK", EventKey="V1002"),
        _event("unsubscribe"),
        _event("never_heard_of"),
        _event(""),
        text_document(""),
    ],
    ids=str,
)
def test_the_demo_bot_takes_other_events_without_a_reply(fields: dict[str, Any]) -> None:
    assert answer(demo_bot, decode(fields)) is None


def test_the_demo_bot_takes_anything_at_all() -> None:
    assert answer(demo_bot, ComponentVerifyTicket()) == TextReply("收到 (received)")
