"""How late the event loop is: measured by asking it for a wake-up, time after time."""

import asyncio
from typing import Final

from gateway.telemetry.metrics import Metrics

BEAT_SECONDS: Final = 0.25


async def beat_for_ever(metrics: Metrics) -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + BEAT_SECONDS
        await asyncio.sleep(BEAT_SECONDS)
        metrics.loop_lag.observe((), max(0.0, loop.time() - due))
