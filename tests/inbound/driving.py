"""A bot driven as the callback endpoint drives it, without HTTP around it."""

import asyncio
from typing import Any, Final

from gateway import Bot, Context, Message, Reply
from gateway.adapters.memory import MemoryStore
from gateway.inbound.commit import GroupCommit
from gateway.inbound.deliveries import Deliveries, LateReply, Promise
from gateway.inbound.ingest import Ingest
from gateway.inbound.ports import Store
from tests.support import make_account

TRACE: Final = "0123456789abcdef0123456789abcdef"


def make_context(
    query: bytes = b"",
    *,
    trace_id: str = TRACE,
    attempt: int = 1,
) -> Context:
    """Return the Context of a delivery to the account ``main``."""
    return Context(make_account(), query, trace_id=trace_id, attempt=attempt)


async def ask(ingest: Ingest, message: Message, context: Context | None = None) -> Reply | None:
    """Return what the first matching handler answers."""
    return await ingest.answer(ingest.find(message), message, context or make_context())


def answer(bot: Bot, message: Message, context: Context | None = None) -> Reply | None:
    """Return what a bot answers to one message."""
    return asyncio.run(ask(Ingest(bot), message, context))


def make_deliveries(
    bot: Bot,
    store: Store | None = None,
    *,
    owner: bytes = b"process1",
    deadline: float = 4.5,
    late_reply: LateReply = LateReply.JOIN,
) -> Deliveries:
    """Return the deliveries of one process, which commits to the store."""
    commit = GroupCommit((store or MemoryStore(600)).commit)
    return Deliveries(Ingest(bot), commit, owner, Promise(deadline, late_reply))


def registered(handler: Any, kind: type[Message], **conditions: Any) -> Bot:
    """Return a bot with one handler."""
    bot = Bot()
    bot.on(kind, **conditions)(handler)
    return bot
