"""Upstreams answer what no handler takes: each is asked only about what it is there for."""

from typing import Any, Final

import msgspec
import pytest

from gateway import (
    Bot,
    CallNext,
    Click,
    Context,
    Image,
    ImageReply,
    Message,
    Reply,
    Text,
    TextReply,
)
from gateway.errors import WrongReply
from gateway.inbound.ingest import HandlerFailed
from gateway.inbound.outbox import Subscription
from gateway.inbound.publishing import NoAnswer, Outgoing
from gateway.inbound.upstream import Upstream, with_upstreams
from gateway.protocol.cloudevents import encode, event_of
from gateway.protocol.decode import decode
from gateway.protocol.dedupe import dedupe_key
from tests.inbound.driving import TRACE, answer, make_context, registered
from tests.support import APP_ID, OPEN_ID, make_account, text_document

HELLO: Final = {"type": "text", "content": "hello"}
TEXT: Final = decode(text_document())
SUBSCRIBED: Final = decode({"MsgType": "event", "Event": "subscribe", "FromUserName": OPEN_ID})


class Asked:
    """An upstream that answers what it is told to, and notes what it was asked."""

    def __init__(self, says: dict[str, Any] | Exception | None = HELLO) -> None:
        self.says = says
        self.asked: list[tuple[Outgoing, float]] = []

    async def ask(self, event: Outgoing, seconds: float) -> dict[str, Any] | None:
        """Note the question, and answer it."""
        self.asked.append((event, seconds))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def close(self) -> None:
        """Do nothing."""


def upstream(
    asked: Asked, *types: str, accounts: frozenset[str] | None = None, seconds: float = 4.0
) -> Upstream:
    """Return an upstream that is asked about these types, or all."""
    return Upstream(Subscription("sink.bot", types or ("*",), accounts), asked, seconds)


def of_account(name: str) -> Context:
    """Return the context of a delivery to an account."""
    context = make_context()
    context.account = make_account(name=name)
    return context


def test_without_upstreams_a_bot_is_as_it_was() -> None:
    bot = registered(lambda _message: "mine", Text)
    assert with_upstreams(bot, []) is bot


def test_an_upstream_is_asked_only_about_what_no_handler_takes() -> None:
    asked = Asked()
    bot = registered(lambda _message: "mine", Text, content="帮助")
    # That a handler says nothing is an answer too.
    bot.on(Click)(lambda _message: None)
    whole = with_upstreams(bot, [upstream(asked)])
    assert answer(whole, Text(content="帮助")) == TextReply("mine")
    assert answer(whole, Click()) is None
    assert asked.asked == []
    assert answer(whole, TEXT) == TextReply("hello")
    assert len(asked.asked) == 1
    # The bot itself asks nobody.
    assert answer(bot, TEXT) is None


def test_it_is_asked_with_the_event_that_a_sink_would_get_and_how_long_it_may_take() -> None:
    asked = Asked()
    answer(with_upstreams(Bot(), [upstream(asked, seconds=2.5)]), TEXT)
    key = dedupe_key(APP_ID, TEXT)
    body = encode(event_of("main", APP_ID, TEXT, key, TRACE))
    assert asked.asked == [(Outgoing(key.hex(), "message.text", OPEN_ID, body), 2.5)]
    assert msgspec.json.decode(body)["data"]["content"] == "你好"


@pytest.mark.parametrize(
    ("types", "accounts", "message", "account", "asks"),
    [
        (("message.*",), None, TEXT, "main", True),
        (("message.*",), None, SUBSCRIBED, "main", False),
        (("user.subscribed", "message.image"), None, SUBSCRIBED, "main", True),
        (("*",), frozenset({"main"}), TEXT, "main", True),
        (("*",), frozenset({"main"}), TEXT, "shop", False),
        (("user.*",), frozenset({"main"}), TEXT, "main", False),
    ],
)
def test_it_is_asked_about_its_types_and_accounts(
    types: tuple[str, ...],
    accounts: frozenset[str] | None,
    message: Message,
    account: str,
    asks: bool,
) -> None:
    asked = Asked()
    whole = with_upstreams(Bot(), [upstream(asked, *types, accounts=accounts)])
    said = answer(whole, message, of_account(account))
    assert said == (TextReply("hello") if asks else None)
    assert len(asked.asked) == asks


@pytest.mark.parametrize(
    ("message", "whose"),
    [(TEXT, 1), (Image(), 2), (SUBSCRIBED, None)],
    ids=["text", "image", "subscribe"],
)
def test_only_the_first_that_is_meant_is_asked(message: Message, whose: int | None) -> None:
    every = [Asked({"type": "text", "content": f"{number}"}) for number in range(3)]
    types = ("menu.*", "message.text", "message.*")
    whole = with_upstreams(Bot(), [upstream(a, t) for a, t in zip(every, types, strict=True)])
    assert answer(whole, message) == (None if whose is None else TextReply(f"{whose}"))
    assert [len(asked.asked) for asked in every] == [number == whose for number in range(3)]


@pytest.mark.parametrize(
    ("says", "reply"),
    [
        (None, None),
        ({}, None),
        ({"type": "text", "content": ""}, None),
        ({"type": "image", "media_id": "m"}, ImageReply("m")),
    ],
    ids=repr,
)
def test_what_it_says_is_the_reply_and_nothing_is_none(
    says: dict[str, Any] | None, reply: Reply | None
) -> None:
    second = Asked()
    assert answer(with_upstreams(Bot(), [upstream(Asked(says)), upstream(second)]), TEXT) == reply
    # Nothing is what the first one said: nobody else is asked.
    assert second.asked == []


@pytest.mark.parametrize(
    ("says", "cause", "shown"),
    [
        (NoAnswer("sinks.bot: timeout"), NoAnswer, '"sinks.bot: timeout"'),
        ({"type": "text"}, WrongReply, '"a reply of type text: Object missing required field'),
        (LookupError("SECRET"), LookupError, "LookupError"),
    ],
    ids=["no answer", "no reply", "a mistake"],
)
def test_where_it_gives_no_answer_the_message_has_failed_and_wechat_tries_again(
    says: Any, cause: type[Exception], shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    second = Asked()
    with pytest.raises(HandlerFailed) as failed:
        answer(with_upstreams(Bot(), [upstream(Asked(says)), upstream(second)]), TEXT)
    assert isinstance(failed.value.__cause__, cause)
    assert second.asked == []
    (line,) = caplog.messages
    assert f" error={shown}" in line
    assert "SECRET" not in line


def test_handlers_keep_what_stands_around_them() -> None:
    bot = registered(lambda _message: "mine", Text)

    @bot.middleware
    async def marks(_message: Message, _context: Context, call_next: Any) -> str:
        return f"({await call_next()})"

    assert answer(with_upstreams(bot, [upstream(Asked())]), TEXT) == TextReply("(mine)")


def test_the_bot_s_middlewares_stand_around_an_upstream_too() -> None:
    bot, asked = Bot(), Asked()
    seen: list[str] = []

    @bot.middleware
    async def note(message: Message, _context: Context, call_next: CallNext) -> Any:
        seen.append(type(message).__name__)
        return await call_next()

    answer(with_upstreams(bot, [upstream(asked)]), TEXT)
    assert seen == ["Text"]
