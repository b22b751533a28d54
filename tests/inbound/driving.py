"""A bot driven as the callback endpoint drives it, without HTTP around it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from gateway import Bot, Context, Message, Reply
from gateway.inbound.ingest import Ingest
from tests.support import make_account

TRACE: Final = "0123456789abcdef0123456789abcdef"


def make_context(
    query: bytes = b"",
    *,
    trace_id: Callable[[], str] = lambda: TRACE,
    attempt: int = 1,
) -> Context:
    """Return the Context of a delivery to the account ``main``."""
    return Context(make_account(), query, trace_id=trace_id, attempt=attempt)


def answer(
    bot: Bot, message: Message, context: Callable[[], Context] = make_context
) -> Reply | None:
    """Return what a bot answers to one message."""
    return asyncio.run(Ingest(bot).answer(message, context))


def registered(handler: Any, kind: type[Message], **conditions: Any) -> Bot:
    """Return a bot with one handler."""
    bot = Bot()
    bot.on(kind, **conditions)(handler)
    return bot
