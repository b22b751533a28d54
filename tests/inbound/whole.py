"""The whole receiving side of one process, without HTTP around it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateway import Bot
from gateway.adapters.memory import MemoryDeadLetters, MemoryStore
from gateway.adapters.spill import FileSpill
from gateway.inbound.consumer import Policy
from gateway.inbound.deliveries import LateReply, Promise
from gateway.inbound.ports import Store
from gateway.inbound.producers import Sent
from gateway.inbound.runtime import Inbound, Stores, Terms
from tests.support import NOW, make_account

NAME: Final = b"process1"


def make_inbound(
    folder: Path, bot: Bot | None = None, store: Store | None = None, *, concurrency: int = 4
) -> Inbound:
    """Return the receiving side of a process that keeps its spill in the folder."""
    terms = Terms(
        promise=Promise(4.5, LateReply.JOIN),
        keep=600,
        policy=Policy(3, 0.01, 0.1),
        archived=86_400.0,
        concurrency=concurrency,
        content_types={},
    )
    stores = Stores(store or MemoryStore(600), MemoryDeadLetters(), FileSpill(folder, "one"))
    return Inbound(bot or Bot(), {"main": make_account()}, stores, terms, NAME)


def sent(id_: str = "msg_1", type_: str = "command/stop", body: bytes = b"{}") -> Sent:
    """Return an event as a producer sends it."""
    return Sent("billing", id_, NOW, type_, "application/json", body, None)


def play(scenario: Callable[[], Awaitable[Any]]) -> None:
    """Run a scenario, but not for ever."""

    async def run() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(run())
