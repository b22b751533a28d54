"""A process that calls the API: `python -m tests.e2e.caller CONFIG CALLS`; prints what failed."""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

from gateway.app.api import Apis
from gateway.errors import GatewayError
from gateway.settings import load_settings


async def main(config: str, calls: int) -> None:
    """Make so many calls at once, over a few seconds."""
    apis = Apis(load_settings(Path(config)))
    failed: Counter[str] = Counter()

    async def call() -> None:
        await asyncio.sleep(random.uniform(0, 3))  # noqa: S311  # spreads calls
        try:
            await apis.of("main").api.call("GET", "/cgi-bin/getcallbackip")
        except GatewayError as wrong:
            failed[f"{type(wrong).__name__}: {wrong}"] += 1

    await asyncio.gather(*(call() for _ in range(calls)))
    await apis.close()
    sys.stdout.write(f"failed {dict(failed)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
