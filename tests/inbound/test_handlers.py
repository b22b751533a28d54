"""How handlers are called: message, groups and Context, whatever shape the function has."""

import asyncio
import re
import threading
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest

from gateway import Bot, Context, Message, Text, TextReply
from gateway.inbound.ingest import HandlerFailed, Ingest
from tests.inbound.driving import answer, ask, make_context, registered

if TYPE_CHECKING:
    from gateway.settings import Settings

ORDER = Text(content="订单 12-34")
POSITIONAL = re.compile(r"(\d+)-(\d+)")
NAMED = re.compile(r"(?P<first>\d+)-(?P<second>\d+)")


def _said(handler: Any, message: Message = ORDER, **conditions: Any) -> str:
    reply = answer(registered(handler, Text, **conditions), message)
    assert isinstance(reply, TextReply)
    return reply.content


def test_a_handler_need_not_take_the_message() -> None:
    async def nothing() -> str:
        return "called"

    async def only_context(context: Context) -> str:
        return context.account.name

    assert _said(nothing) == "called"
    assert _said(only_context) == "main"


def test_groups_arrive_as_arguments_in_their_order() -> None:
    async def two(message: Text, first: str, second: str) -> str:
        return f"{message.content[:2]} {first} {second}"

    async def any_number(_message: Text, *groups: str) -> str:
        return " ".join(groups)

    assert _said(two, content=POSITIONAL) == "订单 12 34"
    assert _said(any_number, content=POSITIONAL) == "12 34"


def test_named_groups_arrive_by_their_names() -> None:
    async def swapped(_message: Text, second: str, first: str) -> str:
        return f"{first} {second}"

    async def keyword_only(_message: Text, *, second: str, first: str) -> str:
        return f"{first} {second}"

    async def mapping(_message: Text, **groups: str) -> str:
        return " ".join(f"{name}={value}" for name, value in groups.items())

    assert _said(swapped, content=NAMED) == "12 34"
    assert _said(keyword_only, content=NAMED) == "12 34"
    assert _said(mapping, content=NAMED) == "first=12 second=34"


def test_a_group_that_took_no_part_is_none() -> None:
    async def maybe(_message: Text, first: str | None) -> str:
        return repr(first)

    assert _said(maybe, content=re.compile("订单(x)?")) == "None"


def test_a_pattern_without_groups_passes_nothing() -> None:
    async def plain(message: Text) -> str:
        return message.content

    assert _said(plain, content=re.compile(r"\d")) == ORDER.content


async def _last(message: Text, first: str, second: str, context: Context) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


async def _middle(message: Text, first: str, context: Context, second: str) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


async def _second(message: Text, context: Context, first: str, second: str) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


async def _first(context: Context, message: Text, first: str, second: str) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


async def _keyword(message: Text, first: str, second: str, *, context: Context) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


async def _string(message: Text, ctx: "Context", first: str, second: str) -> str:
    return f"{message.msg_type}{first} {second} {ctx.trace_id[:4]}"


async def _unresolved(message: "Text", first: "Settings", second: str, ctx: "Context") -> str:
    """Only a type checker knows one of the names; the Context is then known by its own."""
    return f"{message.msg_type}{first} {second} {ctx.trace_id[:4]}"


def _threaded(message: Text, context: Context, first: str, second: str) -> str:
    return f"{message.msg_type}{first} {second} {context.trace_id[:4]}"


@pytest.mark.parametrize("pattern", [POSITIONAL, NAMED], ids=["positional", "named"])
@pytest.mark.parametrize(
    "handler",
    [_last, _middle, _second, _first, _keyword, _string, _unresolved, _threaded],
    ids=lambda handler: handler.__name__,
)
def test_the_context_arrives_wherever_it_is_asked_for(
    handler: Any, pattern: re.Pattern[str]
) -> None:
    assert _said(handler, content=pattern) == "12 34 0123"


def test_the_context_may_be_positional_only_or_behind_defaults() -> None:
    async def positional_only(_message: Text, context: Context, /) -> str:
        return context.trace_id[:4]

    async def behind_default(_message: Text, extra: str = "-", context: Any = None) -> str:
        return f"{extra}{context.trace_id[:4]}"

    behind_default.__annotations__["context"] = Context
    assert _said(positional_only) == "0123"
    assert _said(behind_default) == "-0123"


@pytest.mark.parametrize("annotation", ["Text[", "missing.Text", "Text.missing", "1 + ''"])
def test_an_annotation_that_cannot_be_evaluated_does_not_stop_a_handler(annotation: str) -> None:
    async def odd(_message: Any, context: Any) -> str:
        return str(context.trace_id[:4])

    odd.__annotations__.update(_message=annotation, context="gateway.Context")
    assert _said(odd) == "0123"


def test_all_who_ask_get_the_same_context() -> None:
    given = make_context()
    seen: list[Context] = []
    bot = Bot()

    @bot.middleware
    async def look(_message: Message, context: Context, call_next: Any) -> Any:
        seen.append(context)
        return await call_next()

    @bot.on(Text)
    async def handle(_message: Text, context: Context) -> str:
        seen.append(context)
        raise ValueError

    @bot.on_error
    async def answer_error(_error: Exception, _message: Message, context: Context) -> None:
        seen.append(context)

    assert answer(bot, ORDER, given) is None
    assert seen == [given] * 3


class Echo:
    """Handlers as methods and as objects."""

    async def method(self, message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"

    def plain(self, message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"

    @staticmethod
    async def static(message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"

    @classmethod
    async def of_class(cls, message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"

    async def __call__(self, message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"


class PlainEcho:
    """An object that is called in a thread."""

    def __call__(self, message: Text, first: str, second: str) -> str:
        return f"{message.msg_type}{first} {second}"


async def _with_prefix(prefix: str, message: Text, first: str, second: str) -> str:
    return f"{prefix}{message.msg_type}{first} {second}"


def _unmarked(function: Any) -> Any:
    """Decorate as many do: with a plain function that returns the coroutine."""

    @wraps(function)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    return wrapper


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (Echo().method, "Echo.method"),
        (Echo().plain, "Echo.plain"),
        (Echo.static, "Echo.static"),
        (Echo.of_class, "Echo.of_class"),
        (Echo(), "Echo"),
        (PlainEcho(), "PlainEcho"),
        (partial(_with_prefix, ""), "_with_prefix"),
        (partial(partial(_with_prefix), ""), "_with_prefix"),
        (partial(Echo()), "Echo"),
        (_unmarked(Echo().method), "Echo.method"),
    ],
    ids=[
        *("a method", "a plain one", "a static one", "one of the class", "an object"),
        *("a plain object", "a partial", "a partial of one", "one of an object", "decorated"),
    ],
)
def test_anything_callable_can_handle(handler: Any, name: str) -> None:
    bot = registered(handler, Text, content=POSITIONAL)
    assert answer(bot, ORDER) == TextReply("12 34")
    assert bot.routes()[0].handler.name == f"{__name__}.{name}"


def test_a_plain_function_runs_in_another_thread_and_the_loop_goes_on() -> None:
    """The handler waits for what only the event loop can set: on the loop it would never end."""
    go_on = threading.Event()
    threads: list[int] = []

    async def both() -> Any:
        loop, began = asyncio.get_running_loop(), asyncio.Event()

        def waits(message: Text) -> str:
            threads.append(threading.get_ident())
            loop.call_soon_threadsafe(began.set)
            assert go_on.wait(30)
            return message.content

        ingest = Ingest(registered(waits, Text))
        waiting = asyncio.create_task(ask(ingest, ORDER))
        await began.wait()
        go_on.set()
        return await waiting

    assert asyncio.run(both()) == TextReply(ORDER.content)
    assert threads != [threading.get_ident()]


def test_an_asynchronous_handler_runs_in_the_loops_own_thread() -> None:
    async def where() -> str:
        return str(threading.get_ident())

    assert _said(where) == str(threading.get_ident())


def test_a_plain_function_that_raises_stop_iteration_fails_like_any_other() -> None:
    """A future cannot hold a StopIteration: the delivery would hang."""

    def empty(message: Text) -> str:
        return next(letter for letter in message.content if letter == "z")

    with pytest.raises(HandlerFailed) as failed:
        answer(registered(empty, Text), ORDER)
    assert isinstance(failed.value.__cause__, RuntimeError)
    assert isinstance(failed.value.__cause__.__cause__, StopIteration)
