"""What cannot work is refused when it is registered, with the handler's name and what to do."""

import re
from typing import Annotated, Any

import pytest

from gateway import Bot, BotError, Click, Context, Event, Message, Subscribe, Text
from gateway.inbound.handlers import bind_handler
from tests.inbound.driving import registered

HERE = __name__


async def takes_message(message: Text) -> str:
    return message.content


async def takes_two(message: Text, number: str) -> str:
    return message.content + number


async def takes_context(message: Text, context: Context) -> str:
    return message.content + context.trace_id


async def takes_keyword(message: Text, *, number: str) -> str:
    return message.content + number


async def takes_only_keywords(*, message: Text) -> str:
    return message.content


@pytest.mark.parametrize(
    ("kind", "shown"), [("text", "'text'"), (str, "<class 'str'>"), (Text(), "Text(")], ids=str
)
def test_only_message_classes_can_be_registered_for(kind: Any, shown: str) -> None:
    with pytest.raises(BotError) as wrong:
        Bot().on(kind)
    assert str(wrong.value).startswith(f"bot.on({shown}")
    assert str(wrong.value).endswith("give a message or event class, such as Text")


@pytest.mark.parametrize(
    ("kind", "conditions", "said"),
    [
        (Text, {"contents": "x"}, "bot.on(Text, contents=…): Text has no field contents"),
        (Message, {"content": "x"}, "bot.on(Message, content=…): Message has no field content"),
        (Event, {"key": "x"}, "bot.on(Event, key=…): Event has no field event_key"),
        (Text, {"scene": "x"}, "bot.on(Text, scene=…): Text has no field scene"),
        (
            Text,
            {"content": re.compile(b"x")},
            "bot.on(Text, content=…): give a pattern of str, not bytes",
        ),
        (
            Text,
            {"content": ["a", "b"]},
            "bot.on(Text, content=…): give a value or a compiled pattern, not a list",
        ),
        (
            Text,
            {"content": re.compile("(a)"), "from_user_name": re.compile("(b)")},
            "bot.on(Text): only one pattern may have groups",
        ),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(
    kind: type[Message], conditions: dict[str, Any], said: str
) -> None:
    with pytest.raises(BotError) as wrong:
        Bot().on(kind, **conditions)
    assert str(wrong.value) == said


def test_two_patterns_are_fine_where_one_has_no_groups() -> None:
    patterns = {"content": re.compile("(a)"), "from_user_name": re.compile("b")}
    assert len(registered(takes_two, Text, **patterns).routes()) == 1


@pytest.mark.parametrize(
    ("handler", "pattern", "said"),
    [
        (
            takes_two,
            None,
            (
                "takes_two: missing a required argument: 'number'; take the message first, "
                "then a Context if you want one (annotate it: Context)"
            ),
        ),
        (
            takes_keyword,
            None,
            "takes_keyword: missing a required ",
        ),
        (
            takes_only_keywords,
            None,
            "takes_only_keywords: too many positional arguments; take the message first",
        ),
        (
            takes_message,
            r"(\d+)",
            (
                "takes_message: too many positional arguments; "
                r"take the message, then 1 more for the groups of '(\\d+)'"
            ),
        ),
        (
            takes_context,
            r"(\d)(\d)",
            (
                "takes_context: too many positional arguments; "
                r"take the message, then 2 more for the groups of '(\\d)(\\d)'"
            ),
        ),
        (
            takes_two,
            r"(?P<count>\d)",
            (
                "takes_two: missing a required argument: 'number'; "
                r"take the message, then count for the groups of '(?P<count>\\d)'"
            ),
        ),
        (
            takes_two,
            r"(?P<number>\d)(\d)",
            (
                "takes_two: name all groups of the pattern "
                r"'(?P<number>\\d)(\\d)', or none of them"
            ),
        ),
        (
            takes_keyword,
            r"(\d)",
            "takes_keyword: too many positional arguments; take the message, then 1 more",
        ),
    ],
)
def test_a_handler_that_does_not_fit_is_refused(
    handler: Any, pattern: str | None, said: str
) -> None:
    conditions = {} if pattern is None else {"content": re.compile(pattern)}
    with pytest.raises(BotError) as wrong:
        registered(handler, Text, **conditions)
    assert str(wrong.value).startswith(f"{HERE}.{said}")


@pytest.mark.parametrize(
    ("handler", "name"), [("echo", "builtins.str"), (42, "builtins.int"), (max, "builtins.max")]
)
def test_what_is_no_function_is_refused(handler: Any, name: str) -> None:
    with pytest.raises(BotError) as wrong:
        registered(handler, Text)
    assert str(wrong.value).endswith(
        f"{name.partition('.')[2]}: not a handler; register a def or async def"
    )


def test_a_handler_with_no_parameters_cannot_take_groups() -> None:
    async def nothing() -> str:
        return "never"

    with pytest.raises(BotError, match=r"nothing: too many positional arguments; take the message"):
        registered(nothing, Text, content=re.compile("(x)"))


def test_registering_gives_the_function_back() -> None:
    """So that one function can be registered twice, and called by its own tests."""
    bot = Bot()
    assert bot.on(Text)(takes_message) is takes_message
    assert bot.on(Click)(bot.on(Subscribe)(takes_message)) is takes_message
    assert [route.kind for route in bot.routes()] == [Text, Subscribe, Click]


def test_middleware_and_on_error_give_the_function_back() -> None:
    async def middleware(_message: Message, _context: Context, call_next: Any) -> Any:
        return await call_next()

    async def on_error(_error: Exception, _message: Message, _context: Context) -> None: ...

    bot = Bot()
    assert bot.middleware(middleware) is middleware
    assert bot.on_error(on_error) is on_error


def test_a_second_on_error_is_refused() -> None:
    bot = Bot()

    async def answers(_error: Exception, _message: Message, _context: Context) -> str:
        return "sorry"

    bot.on_error(answers)
    with pytest.raises(BotError, match="answers: this bot has an on_error already"):
        bot.on_error(answers)


@pytest.mark.parametrize("register", [Bot.middleware, Bot.on_error])
def test_what_stands_around_a_handler_must_take_what_it_is_given(register: Any) -> None:
    async def too_few(_message: Message) -> None: ...

    with pytest.raises(BotError, match=r"too_few: too many positional arguments; take \("):
        register(Bot(), too_few)


def test_a_context_is_found_in_a_union_and_behind_annotated() -> None:
    async def optional(message: Text, context: Context | None = None) -> None: ...

    async def annotated(message: Text, context: Annotated[Context, "this delivery"]) -> None: ...

    for function in (optional, annotated):
        assert bind_handler(function, None)._context_name == "context"


def test_a_bot_cannot_include_itself_however_far_around() -> None:
    first, second, third = Bot(), Bot(), Bot()
    first.include(second)
    second.include(third)
    for inner, outer in ((first, first), (first, second), (first, third), (second, third)):
        with pytest.raises(BotError, match=r"^bot\.include\(\): a bot cannot include itself$"):
            outer.include(inner)


def test_only_bots_can_be_included() -> None:
    module: Any = re
    with pytest.raises(BotError, match=r"^bot\.include\(<module 're' .*\): give the Bot in it$"):
        Bot().include(module)
