"""One drill: load and harm at once, then peace, then the account."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from gateway.inbound.claims import Entry
from gateway.inbound.stored import stored_message
from tests.drill.endpoint import Endpoint
from tests.drill.ledger import Ledger, Traces, account, customer_service
from tests.drill.load import Load
from tests.drill.world import World

SETTLES: Final = 90.0
"""Seconds until nothing may wait any more: three times an entry's lease."""


async def run(folder: Path, seconds: float, rate: float, seed: int) -> tuple[Ledger, Counter[str]]:
    """Run a drill; return what became of every message, and what was done to their gateways."""
    random = Random(seed)
    endpoint = Endpoint(random)
    async with endpoint.listening(), World(folder, random, endpoint.port) as world:
        load = Load(rate, random, world.urls)
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(load.run(seconds), world.hurt(until))
        settled = await world.settle(SETTLES)
        traces = Traces(
            runs=world.runs,
            customer_service=customer_service(world.redis.port),
            forwarded=endpoint.users,
            dead=Counter(_sender(body) for body in await world.dead_letters()),
        )
        ledger = account(load.sent, traces)
        if not (settled and ledger.is_clean):
            print(*world.log_lines()[-300:], sep="\n")
        return ledger, world.faults


def _sender(body: bytes) -> str:
    return stored_message(Entry("", "", "", body)).message.from_user_name
