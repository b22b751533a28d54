"""What a Context tells, worked out only when it is asked."""

import asyncio
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Bot, Context, Message, Text, TextReply
from gateway.identity.people import Person
from gateway.inbound.ingest import HandlerFailed, Ingest
from tests.inbound.driving import TRACE, ask, make_context
from tests.support import make_account

BOT: Final = Bot()
TEXT: Final = Text(content="我是谁", from_user_name="oUser", create_time=1_790_000_000)


@BOT.on(Text)
async def who(_message: Text, context: Context) -> str:
    """Ask twice."""
    return f"{(await context.identity()).id} {(await context.identity()).id}"


def identify(ingest: Ingest) -> str:
    """Return what the handler told."""
    reply = asyncio.run(ask(ingest, TEXT))
    assert isinstance(reply, TextReply)
    return reply.content


def test_a_trace_id_is_looked_for_once_and_only_when_asked() -> None:
    asked: list[str] = []

    class Asked(Context):
        def find_trace_id(self) -> str:
            asked.append("trace")
            return TRACE

    context = Asked(make_account(), b"", attempt=2)
    assert (context.account.name, context.attempt) == ("main", 2)
    assert asked == []
    assert (context.trace_id, context.trace_id) == (TRACE, TRACE)
    assert asked == ["trace"]


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        (b"", {}),
        (b"timestamp=1&nonce=2", {"timestamp": "1", "nonce": "2"}),
        (b"tenant=%E5%BA%97&x=a+b%26c", {"tenant": "店", "x": "a b&c"}),
        (b"empty=&bare", {"empty": "", "bare": ""}),
        (b"twice=1&twice=2", {"twice": "2"}),
        (b"odd=%zz&&=&%", {"odd": "%zz", "": "", "%": ""}),
        (b"bytes=%ff", {"bytes": "\ufffd"}),
    ],
)
def test_the_query_is_what_the_url_held(raw: bytes, query: dict[str, str]) -> None:
    assert dict(make_context(raw).query) == query


@given(st.binary(max_size=60))
def test_any_query_can_be_read(raw: bytes) -> None:
    assert all(isinstance(value, str) for value in make_context(raw).query.values())


def test_the_query_cannot_be_changed() -> None:
    query: Any = make_context(b"a=1").query
    with pytest.raises(TypeError):
        query["a"] = "2"


def test_who_sent_the_message_is_looked_for_once() -> None:
    asked: list[tuple[str, Message]] = []
    known = Person("person1", None, 1.0, ())

    async def find(account: str, message: Message) -> Person | None:
        asked.append((account, message))
        return known

    assert identify(Ingest(BOT, find)) == "person1 person1"
    assert asked == [("main", TEXT)]


def test_who_was_erased_since_is_nobody_to_a_handler() -> None:
    async def find(_account: str, _message: Message) -> None:
        return None

    with pytest.raises(HandlerFailed) as failed:
        identify(Ingest(BOT, find))
    assert "erased since" in str(failed.value.__cause__)


def test_without_a_secret_nobody_is_known_and_the_error_says_what_to_set() -> None:
    with pytest.raises(HandlerFailed) as failed:
        identify(Ingest(BOT))
    assert "set identity.secret" in str(failed.value.__cause__)
