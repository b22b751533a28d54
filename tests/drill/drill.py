"""One drill: load and harm at once, then peace, then the account."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from tests.drill.ledger import Ledger, account, customer_service_messages
from tests.drill.load import Load
from tests.drill.world import World

SETTLES: Final = 60.0
"""Seconds until nothing may wait any more: twice an entry's lease."""


async def run(folder: Path, seconds: float, rate: float, seed: int) -> tuple[Ledger, Counter[str]]:
    """Run a drill; return what became of every message, and what was done to their gateways."""
    random = Random(seed)
    world = World(folder, random)
    try:
        load = Load(rate, random, world.urls)
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(load.run(seconds), world.hurt(until))
        settled = await world.settle(SETTLES)
        ledger = account(load.sent, world.runs, customer_service_messages(world.redis.port))
        if not (settled and ledger.clean):
            print(*world.log_lines()[-200:], sep="\n")
        return ledger, world.faults
    finally:
        world.close()
