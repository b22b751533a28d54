"""Bots in bots, and middlewares around handlers: their order and their reach."""

import asyncio
from typing import Any

import pytest

from gateway import Bot, Click, Context, Image, Message, Text, TextReply
from gateway.inbound.ingest import Ingest
from tests.inbound.driving import answer, ask, make_context


def _says(text: str) -> Any:
    async def handler() -> str:
        return text

    return handler


def _marks(mark: str) -> Any:
    async def middleware(_message: Message, _context: Context, call_next: Any) -> Any:
        return f"{mark}({await call_next()})"

    return middleware


def _bot(says: dict[str, str], *, mark: str = "") -> Bot:
    bot = Bot()
    for content, text in says.items():
        bot.on(Text, content=content)(_says(text))
    if mark:
        bot.middleware(_marks(mark))
    return bot


def _said(bot: Bot, content: str) -> str | None:
    reply = answer(bot, Text(content=content))
    assert reply is None or isinstance(reply, TextReply)
    return None if reply is None else reply.content


def test_included_handlers_stand_where_they_were_included() -> None:
    outer = Bot()
    outer.on(Text, content="1")(_says("before"))
    outer.include(_bot({"1": "within", "2": "within", "3": "within"}))
    outer.on(Text, content="2")(_says("after"))
    outer.on(Text)(_says("rest"))
    assert [_said(outer, content) for content in "1234"] == ["before", "within", "within", "rest"]


def test_a_catch_all_of_an_included_bot_takes_what_stands_after_it() -> None:
    outer, inner = Bot(), Bot()
    inner.on(Message)(_says("inner"))
    outer.include(inner)
    outer.on(Text, content="1")(_says("outer"))
    assert _said(outer, "1") == "inner"


def test_bots_nest() -> None:
    outer, middle, inner = _bot({"o": "outer"}), _bot({"m": "middle"}), _bot({"i": "inner"})
    outer.include(middle)
    middle.include(inner)
    assert [_said(outer, content) for content in "omi"] == ["outer", "middle", "inner"]
    assert [_said(middle, content) for content in "omi"] == [None, "middle", "inner"]
    assert outer.included() == [middle, inner]


def test_a_bot_may_be_in_two_others_and_in_one_twice() -> None:
    shared = _bot({"s": "shared"})
    left, right, top = Bot(), Bot(), Bot()
    for bot in (left, right):
        bot.include(shared)
        top.include(bot)
    top.include(shared)
    assert _said(top, "s") == "shared"
    assert len(top.routes()) == 3


def test_what_is_registered_after_the_include_counts_too() -> None:
    outer, inner = Bot(), Bot()
    outer.include(inner)
    inner.on(Text)(_says("late"))
    inner.middleware(_marks("m"))
    assert _said(outer, "x") == "m(late)"


def test_what_is_registered_after_the_start_does_not_count() -> None:
    bot = _bot({"1": "one"})
    ingest = Ingest(bot)
    bot.on(Text, content="2")(_says("two"))
    bot.middleware(_marks("m"))
    answers = [ask(ingest, Text(content=content)) for content in "12"]

    async def both() -> list[Any]:
        return [await each for each in answers]

    assert asyncio.run(both()) == [TextReply("one"), None]


def test_middlewares_stand_around_each_other_in_order_of_registration() -> None:
    bot = _bot({"x": "reply"})
    for mark in "abc":
        bot.middleware(_marks(mark))
    assert _said(bot, "x") == "a(b(c(reply)))"


def test_a_middleware_stands_around_its_own_bots_handlers_only() -> None:
    outer = _bot({"1": "outer"}, mark="o")
    middle, inner, other = _bot({"2": "middle"}, mark="m"), _bot({"3": "inner"}, mark="i"), Bot()
    other.on(Text, content="4")(_says("other"))
    outer.include(middle)
    middle.include(inner)
    outer.include(other)
    assert [_said(outer, content) for content in "1234"] == [
        "o(outer)",
        "o(m(middle))",
        "o(m(i(inner)))",
        "o(other)",
    ]


def test_a_middleware_that_does_not_call_next_answers_itself() -> None:
    called: list[str] = []
    bot = Bot()

    @bot.middleware
    async def closed(_message: Message, _context: Context, _call_next: Any) -> str:
        return "closed"

    @bot.middleware
    async def never(_message: Message, _context: Context, call_next: Any) -> Any:
        called.append("never")
        return await call_next()

    bot.on(Text)(_says("open"))
    assert _said(bot, "x") == "closed"
    assert called == []


def test_a_middleware_may_pass_on_another_message_and_context() -> None:
    bot = Bot()
    given = make_context(b"given=1")

    @bot.middleware
    async def replace(message: Text, _context: Context, call_next: Any) -> Any:
        return await call_next(Text(content=message.content.upper()), given)

    @bot.middleware
    async def through(_message: Message, _context: Context, call_next: Any) -> Any:
        return await call_next()

    @bot.on(Text, content="x")
    async def handle(message: Text, context: Context) -> str:
        return f"{message.content} {context.query['given']}"

    assert _said(bot, "x") == "X 1"


def test_a_middleware_may_pass_on_the_message_alone() -> None:
    bot = Bot()

    @bot.middleware
    async def replace(_message: Message, _context: Context, call_next: Any) -> Any:
        return await call_next(Text(content="other"))

    @bot.on(Text)
    async def handle(message: Text, context: Context) -> str:
        return f"{message.content} {context.account.name}"

    assert _said(bot, "x") == "other main"


def test_a_middleware_sees_what_the_handler_returned_and_may_change_it() -> None:
    seen: list[Any] = []
    bot = _bot({"x": "reply"})

    @bot.middleware
    async def change(_message: Message, _context: Context, call_next: Any) -> None:
        seen.append(await call_next())

    assert _said(bot, "x") is None
    assert seen == ["reply"]


def test_a_middleware_may_try_again_and_may_catch() -> None:
    attempts: list[str] = []
    bot = Bot()

    @bot.middleware
    async def twice(_message: Message, _context: Context, call_next: Any) -> Any:
        try:
            return await call_next()
        except LookupError:
            return await call_next()

    @bot.on(Text)
    async def fails_once(message: Text) -> str:
        attempts.append(message.content)
        if len(attempts) == 1:
            raise LookupError
        return "second"

    assert _said(bot, "x") == "second"
    assert attempts == ["x", "x"]


def test_a_plain_function_can_be_a_middleware() -> None:
    bot = _bot({"x": "reply"})

    @bot.middleware
    def plain(message: Text, _context: Context, call_next: Any) -> Any:
        return "short" if message.content == "s" else call_next()

    assert _said(bot, "x") == "reply"
    assert _said(bot, "s") == "short"


@pytest.mark.parametrize("message", [Image(), Click(), Text(content="other")], ids=repr)
def test_where_no_handler_takes_a_message_the_bots_own_middlewares_still_see_it(
    message: Message,
) -> None:
    seen: list[tuple[Message, Any]] = []
    bot = _bot({"x": "reply"})
    inner = _bot({"y": "inner"}, mark="inner")
    bot.include(inner)

    @bot.middleware
    async def look(message: Message, _context: Context, call_next: Any) -> Any:
        seen.append((message, await call_next()))
        return "nobody"

    assert answer(bot, message) == TextReply("nobody")
    assert seen == [(message, None)]
