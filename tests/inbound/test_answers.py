"""What becomes of a handler's return value, and of its failure."""

import asyncio
import gc
import logging
import sys
from contextlib import suppress
from typing import Any

import pytest

from gateway import (
    Article,
    Bot,
    Click,
    Context,
    ImageReply,
    Message,
    MusicReply,
    NewsReply,
    Reply,
    Text,
    TextReply,
    TransferReply,
    VideoReply,
    VoiceReply,
)
from gateway.errors import WrongReply
from gateway.inbound.ingest import HandlerFailed, Ingest
from gateway.protocol import replies
from tests.inbound.driving import TRACE, answer, ask, registered
from tests.support import AES_KEY, TOKEN

SECRET = "SECRET-IN-EXCEPTION"
CONTENT = "SECRET-IN-MESSAGE"
USER = "oSECRET-OPEN-ID"
MESSAGE = Text(content=CONTENT, from_user_name=USER)
ARTICLES = [Article(f"title {number}") for number in range(9)]


def _returns(value: Any) -> Any:
    async def handler() -> Any:
        return value

    return handler


def _raises(error: BaseException) -> Any:
    async def handler() -> Any:
        raise error

    return handler


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("你好", TextReply("你好")),
        ("", None),
        (None, None),
        (TextReply(""), None),
        ("\x01", None),
        ([], None),
        (ImageReply("m"), ImageReply("m")),
        (VoiceReply("m"), VoiceReply("m")),
        (VideoReply("m", "t", "d"), VideoReply("m", "t", "d")),
        (MusicReply("m", music_url="u"), MusicReply("m", music_url="u")),
        (NewsReply(ARTICLES[:1]), NewsReply(ARTICLES[:1])),
        (TransferReply(), TransferReply()),
        (TransferReply("kf@test"), TransferReply("kf@test")),
        (ARTICLES[:1], NewsReply(ARTICLES[:1])),
        (tuple(ARTICLES[:1]), NewsReply(tuple(ARTICLES[:1]))),
    ],
    ids=repr,
)
@pytest.mark.parametrize("guarded", [False, True], ids=["alone", "in a middleware"])
def test_a_return_value_becomes_a_reply(value: Any, reply: Reply | None, guarded: bool) -> None:
    bot = registered(_returns(value), Text)
    if guarded:

        @bot.middleware
        async def through(_message: Message, _context: Context, call_next: Any) -> Any:
            return await call_next()

    assert answer(bot, MESSAGE) == reply


@pytest.mark.parametrize(
    "value",
    [
        *(42, 0, False, True, b"bytes", {"a": 1}, object, Text(), Article("t"), {"set"}),
        *(["text"], [Article("t"), "text"], ARTICLES, [ImageReply("m")]),
    ],
    ids=repr,
)
def test_any_other_return_value_is_a_failure(value: Any) -> None:
    with pytest.raises(HandlerFailed) as failed:
        answer(registered(_returns(value), Text), MESSAGE)
    assert isinstance(failed.value.__cause__, TypeError | ValueError)


@pytest.mark.parametrize("given", [ARTICLES[:8], NewsReply(ARTICLES[:8])], ids=["list", "reply"])
def test_news_is_cut_to_one_article_for_a_message_and_whole_for_an_event(
    given: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bot = registered(_returns(given), Message)
    event = answer(bot, Click())
    assert isinstance(event, NewsReply)
    assert list(event.articles) == ARTICLES[:8]
    assert caplog.messages == []
    message = answer(bot, MESSAGE)
    assert isinstance(message, NewsReply)
    assert list(message.articles) == ARTICLES[:1]
    assert caplog.messages == [
        "news cut to one article: WeChat shows no more in answer to a message"
    ]


def test_a_message_that_nothing_takes_is_answered_with_success() -> None:
    assert answer(Bot(), MESSAGE) is None
    assert answer(registered(_returns("x"), Click), MESSAGE) is None


async def _excuse(error: Exception, message: Message, context: Context) -> str:
    return f"{type(error).__name__} {type(message).__name__} {context.account.name}"


def test_on_error_answers_for_a_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    bot = registered(_raises(LookupError(SECRET)), Text)
    bot.on_error(_excuse)
    assert answer(bot, MESSAGE) == TextReply("LookupError Text main")
    assert caplog.messages == []


def test_on_error_answers_for_a_wrong_return_value() -> None:
    bot = registered(_returns(42), Text)
    bot.on_error(_excuse)
    assert answer(bot, MESSAGE) == TextReply("WrongReply Text main")


def test_on_error_answers_for_a_middleware_that_raises() -> None:
    for bot in (registered(_returns("never"), Text), Bot()):
        bot.on_error(_excuse)

        @bot.middleware
        async def broken(_message: Message, _context: Context, _call_next: Any) -> Any:
            raise LookupError

        assert answer(bot, MESSAGE) == TextReply("LookupError Text main")


def test_on_error_may_answer_with_success() -> None:
    bot = registered(_raises(LookupError()), Text)
    bot.on_error(_returns_none)
    assert answer(bot, MESSAGE) is None


async def _returns_none(_error: Exception, _message: Message, _context: Context) -> None: ...


def test_on_error_may_be_a_plain_function() -> None:
    bot = registered(_raises(LookupError()), Text)

    @bot.on_error
    def excuse(error: Exception, _message: Message, _context: Context) -> list[Article]:
        return [Article(type(error).__name__)]

    assert answer(bot, MESSAGE) == NewsReply([Article("LookupError")])


def test_an_included_bots_own_on_error_answers_else_its_parents() -> None:
    def excuse(name: str) -> Any:
        async def on_error(_error: Exception, _message: Message, _context: Context) -> str:
            return name

        return on_error

    outer, own, none, inner = Bot(), Bot(), Bot(), Bot()
    for key, bot in {"outer": outer, "own": own, "none": none, "inner": inner}.items():
        bot.on(Click, key=key)(_raises(LookupError()))
    outer.on_error(excuse("the outer bot's"))
    own.on_error(excuse("its own"))
    outer.include(own)
    outer.include(none)
    own.include(inner)
    said = {key: answer(outer, Click(event_key=key)) for key in ("outer", "own", "none", "inner")}
    assert said == {
        "outer": TextReply("the outer bot's"),
        "own": TextReply("its own"),
        "none": TextReply("the outer bot's"),
        "inner": TextReply("its own"),
    }


def test_an_included_bots_on_error_does_not_answer_for_its_parent() -> None:
    outer, inner = registered(_raises(LookupError()), Text), Bot()
    inner.on_error(_excuse)
    outer.include(inner)
    with pytest.raises(HandlerFailed):
        answer(outer, MESSAGE)


def test_an_on_error_that_raises_leaves_no_answer_not_even_the_parents() -> None:
    outer, inner = Bot(), registered(_raises(LookupError()), Text)
    outer.include(inner)
    outer.on_error(_excuse)

    @inner.on_error
    async def broken(_error: Exception, _message: Message, _context: Context) -> str:
        raise ZeroDivisionError

    with pytest.raises(HandlerFailed) as failed:
        answer(outer, MESSAGE)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert isinstance(failed.value.__cause__.__context__, LookupError)


class OddError(Exception):
    """An error whose texts hold what must not be logged."""

    def __init__(self) -> None:
        super().__init__(SECRET, CONTENT)
        self.add_note(f"{SECRET} of {USER}")

    def __str__(self) -> str:
        return f"{SECRET} {CONTENT} {USER} {TOKEN}"

    __repr__ = __str__


async def fails(message: Text) -> str:
    """Raise, two frames down, with everything secret in reach."""
    return _deeper(message.content, SECRET)


def fails_in_thread(message: Text) -> str:
    """Raise off the event loop."""
    return _deeper(message.content, SECRET)


async def fails_with_context(message: Text, context: Context) -> str:
    """Raise in a handler that asked for its Context."""
    return _deeper(message.content, context.trace_id)


async def returns_wrong(message: Text) -> Any:
    """Return what is no reply, and holds the message."""
    return {message.content: SECRET}


def _deeper(_content: str, _secret: str) -> str:
    raise OddError from LookupError(SECRET)


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what a log file would hold, exceptions and stacks included."""
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
    return [line for r in caplog.records for line in formatter.format(r).splitlines()]


@pytest.mark.parametrize("with_on_error", [False, True], ids=["alone", "with on_error"])
@pytest.mark.parametrize("guarded", [False, True], ids=["alone", "in a middleware"])
@pytest.mark.parametrize(
    "handler",
    [fails, fails_in_thread, fails_with_context, returns_wrong],
    ids=lambda handler: handler.__name__,
)
def test_a_failure_is_logged_in_one_line_without_secrets(
    handler: Any, guarded: bool, with_on_error: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    bot = registered(handler, Text)
    if guarded:

        @bot.middleware
        async def through(_message: Message, _context: Context, call_next: Any) -> Any:
            return await call_next()

    if with_on_error:

        @bot.on_error
        async def broken(_error: Exception, message: Message, _context: Context) -> Any:
            return _deeper(message.from_user_name, SECRET)

    with pytest.raises(HandlerFailed) as failed:
        answer(bot, MESSAGE)
    wrong = handler is returns_wrong and not with_on_error
    error = WrongReply if wrong else OddError
    shown = f'"{failed.value.__cause__}"' if wrong else "OddError"
    assert isinstance(failed.value.__cause__, error)
    (line,) = _lines(caplog)
    name = f"{__name__}.{handler.__name__}"
    if with_on_error:
        name = f'"{name}, then its on_error"'
    assert line.startswith(f"ERROR gateway.inbound handler failed handler={name} error={shown} at=")
    place = line.partition(" at=")[2].partition(" ")[0]
    innermost = place.partition("<")[0]
    assert innermost.rpartition(":")[0] == (replies.__file__ if wrong else __file__)
    assert int(innermost.rpartition(":")[2]) > 1
    assert line.endswith(f" type=Text account=main trace_id={TRACE}")
    for secret in (SECRET, CONTENT, USER, TOKEN, AES_KEY):
        assert secret not in line
        assert secret not in str(failed.value)


def test_a_middlewares_failure_without_a_handler_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot = Bot()

    @bot.middleware
    async def broken(_message: Message, _context: Context, _call_next: Any) -> Any:
        raise OddError

    with pytest.raises(HandlerFailed):
        answer(bot, MESSAGE)
    (line,) = _lines(caplog)
    assert 'handler="no handler" error=OddError' in line
    assert SECRET not in line


def test_a_bot_answers_on_after_a_failure() -> None:
    bot = Bot()
    bot.on(Text, content="bad")(_raises(LookupError()))
    bot.on(Text)(_returns("good"))
    with pytest.raises(HandlerFailed):
        answer(bot, Text(content="bad"))
    assert answer(bot, Text(content="x")) == TextReply("good")


async def awaits_what_is_cancelled(message: Text) -> str:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task
    return message.content


async def exits(message: Text) -> str:
    sys.exit(message.content)


@pytest.mark.parametrize("handler", [awaits_what_is_cancelled, exits])
def test_a_handler_that_exits_or_awaits_what_is_cancelled_has_failed(handler: Any) -> None:
    bot = registered(handler, Text)
    with pytest.raises(HandlerFailed):
        answer(bot, MESSAGE)
    bot.on_error(_excuse)
    reply = answer(bot, MESSAGE)
    assert isinstance(reply, TextReply)
    assert reply.content.endswith("Text main")


def test_a_request_that_is_itself_cancelled_stays_so() -> None:
    async def waits(_message: Text) -> str:
        await asyncio.sleep(60)
        return ""

    ingest = Ingest(registered(waits, Text))

    async def cancel() -> None:
        task = asyncio.ensure_future(ask(ingest, MESSAGE))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


def test_an_on_error_that_fails_leaves_no_reference_cycle() -> None:
    bot = registered(exits, Text)

    @bot.on_error
    async def broken(_error: BaseException, _message: Message, _context: Context) -> str:
        raise OddError

    async def many() -> int:
        ingest = Ingest(bot)
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                with suppress(HandlerFailed):
                    await ask(ingest, MESSAGE)
            return gc.collect()
        finally:
            gc.enable()

    assert asyncio.run(many()) == 0
