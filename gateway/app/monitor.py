"""How a process is, put together: what it counts, what it looks at, what it answers to probes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.http.health import Told
from gateway.kernels import IMPLEMENTATION
from gateway.telemetry import instruments
from gateway.telemetry.cells import Values
from gateway.telemetry.exposition import CONTENT_TYPE, exposition
from gateway.telemetry.metrics import Family, Metrics, Point, gather, joined
from gateway.telemetry.pulse import beat_for_ever
from gateway.telemetry.watching import Component, look_at

_OK: Final = 200
_UNAVAILABLE: Final = 503


class ProcessMonitor:
    """Tells how one process is, and what it and those that share its cells counted."""

    content_type = CONTENT_TYPE

    def __init__(
        self,
        metrics: Metrics | None,
        read: Callable[[], list[Values]],
        components: Sequence[Component],
        *,
        store: Callable[[], dict[str, Any]],
        standing_still: Callable[[], Sequence[str]],
        about: dict[str, Any],
    ) -> None:
        """``read`` returns what is counted; ``store`` how the store of callbacks stands.

        ``about`` is what runs: version, kernels, store, accounts.
        """
        self._metrics = metrics
        self._read = read
        self._components = components
        self._store = store
        self._standing_still = standing_still
        self._about = about
        self._beating: asyncio.Task[None] | None = None
        self.is_draining = False
        """Whether the process is about to end."""

    async def start(self) -> None:
        """Begin to measure."""
        if self._metrics is not None:
            self._beating = asyncio.create_task(beat_for_ever(self._metrics))

    async def close(self) -> None:
        """Measure no more."""
        if self._beating is not None:
            self._beating.cancel()
        for component in self._components:
            await component.close()

    def live(self) -> Told:
        """Tell whether the process goes on."""
        if still := self._standing_still():
            return Told(_UNAVAILABLE, {"status": "standing still", "parts": [*still]})
        return Told(_OK, {"status": "ok"})

    async def ready(self) -> Told:
        """Tell whether it may be sent callbacks.

        A gateway whose store is down is ready all the same, and says that it is degraded: it
        answers, and keeps on its own disk what must not be lost.
        """
        store = self._store()
        status, can_take = store["status"], True
        told: dict[str, Any] = {"callbacks": store}
        looked_at = [one for one in self._components if one.in_health]
        for component, reading in await look_at(looked_at):
            state = "degraded" if reading.problem else "ok"
            age = round(component.clock() - reading.at, 1)
            told[component.name] = {"status": state, "age_seconds": age}
            if reading.problem:
                told[component.name]["reason"] = reading.problem
                status, can_take = "degraded", can_take and not component.needed
        if not can_take:
            status = "not ready"
        if self.is_draining:
            status, can_take = "draining", False
        body = {"status": status, "components": told, **self._about}
        return Told(_OK if can_take else _UNAVAILABLE, body)

    async def metrics(self) -> bytes | None:
        """Return what is counted here, and what is found by looking."""
        return None if self._metrics is None else exposition(await self.families())

    async def families(self) -> list[Family]:
        """Return the same, not written yet."""
        found: list[Family] = []
        for component, reading in await look_at(self._components):
            found += reading.families
            if reading.problem and self._metrics is not None:
                self._metrics.gauge_failures.add((component.name.partition(".")[0],))
        about = (self._about["version"], IMPLEMENTATION, self._about["store"])
        found.append(Family(instruments.INFO, [Point(about, 1.0)]))
        # Behind the others, for they count their own failures.
        return joined([*gather(self._read()), *found])
