"""Forwarding: a sink's lane is emptied into its publisher, batch by batch."""

import asyncio
from contextlib import suppress
from typing import Final

from gateway.errors import GatewayError, StoreDown
from gateway.inbound.consumer import DOWN_SECONDS, IDLE_SECONDS, Settlement, Shared
from gateway.inbound.outbox import SINK
from gateway.inbound.ports import Taken
from gateway.inbound.publishing import (
    Accepted,
    Later,
    Never,
    Outgoing,
    Published,
    Publisher,
    outgoing_of,
)
from gateway.telemetry.logs import get_logger
from gateway.telemetry.tap import TAP, Happening

_log = get_logger("gateway.inbound")

UNREADABLE: Final = "unserialisable: it cannot be written as JSON"

MAX_PAUSE: Final = 30.0
"""Seconds that a sink which takes nothing is left alone, at most."""

MAX_AGE: Final = 3 * 86_400.0
"""Seconds that an event is tried for: Standard Webhooks 1.0 tries about three days."""


class Forwarder:
    """Forwards the events of one lane."""

    def __init__(self, lane: str, publisher: Publisher, shared: Shared) -> None:
        self.lane = lane
        self._publisher = publisher
        # By its age, not by its tries, an event is given up: the sink may be down for long.
        policy = shared.policy._replace(max_deliveries=1_000_000)
        self._shared = shared._replace(policy=policy)
        self._settlement = Settlement(lane, self._shared)
        self._wake = asyncio.Event()
        self._refused = 0
        """Batches in a row of which the sink took nothing."""

    def wake(self) -> None:
        """Look into the lane now."""
        self._wake.set()

    async def run(self) -> None:
        """Forward until cancelled; what is under way then is forwarded again by another."""
        try:
            try:
                await self._publisher.start()
            except GatewayError as wrong:
                _log.error("events wait", lane=self.lane, error=str(wrong))
            while True:
                await self._pause(await self._step())
        finally:
            await self._publisher.close()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _step(self) -> float:
        """Forward a batch; return how long to wait for the next one, in seconds."""
        try:
            taken = await self._shared.take(self.lane, self._publisher.batch)
        except StoreDown as down:
            _log.warning("lane waits", lane=self.lane, error=str(down))
            return DOWN_SECONDS
        if not taken:
            return IDLE_SECONDS
        readable = await self._settlement.readable(taken, outgoing_of, UNREADABLE)
        published = await self._publisher.publish([event for _, event in readable])
        sink = self.lane.removeprefix(SINK)
        for result in published:
            outcome = "ok" if isinstance(result, Accepted) else "failed"
            self._shared.metrics.sink_events.add((sink, outcome))
        if TAP.is_open:
            for (one, event), result in zip(readable, published, strict=True):
                TAP.tell(_happening(sink, one, event, result))
        await asyncio.gather(
            *(
                self._settle(one, result)
                for (one, _), result in zip(readable, published, strict=True)
            )
        )
        if published and all(isinstance(result, Later) for result in published):
            self._refused += 1
            # The wake-up of a new event is no reason to ask a sink that is down again.
            self._wake.clear()
            pause = self._shared.policy.pause(self._refused, self._shared.random())
            await asyncio.sleep(min(MAX_PAUSE, pause))
        else:
            self._refused = 0
        return 0.0

    async def _settle(self, taken: Taken, published: Published) -> None:
        match published:
            case Accepted():
                await self._settlement.done(taken)
            case Never(reason):
                await self._settlement.bury(taken, reason)
            case Later(reason, retry_after):
                if self._shared.clock() - taken.stored_at > MAX_AGE:
                    await self._settlement.bury(taken, f"{reason}; tried for three days")
                else:
                    await self._settlement.failed(taken, reason, retry_after)


def _happening(sink: str, taken: Taken, event: Outgoing, result: Published) -> Happening:
    outcome = type(result).__name__.lower()
    entry, detail = taken.entry, f"to {sink}"
    if not isinstance(result, Accepted):
        detail = f"{detail}: {result.reason}"
    return Happening(
        "forwarded", entry.account, entry.kind, id=event.id, outcome=outcome, detail=detail
    )
