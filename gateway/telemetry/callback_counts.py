"""Callbacks, counted many at once.

One is noted where it is answered, and counted when the loop comes to it, with all that were
answered meanwhile: what counts them is in the processor's caches then, all but once.
"""

from collections.abc import Callable

from gateway.telemetry.metrics import Metrics


class CallbackCounts:
    """Counts callbacks and their messages."""

    __slots__ = ("_metrics", "_noted", "_soon")

    def __init__(self, metrics: Metrics, soon: Callable[[Callable[[], None]], object]) -> None:
        """``soon`` makes a call when all that is at hand is done."""
        self._metrics = metrics
        self._soon = soon
        self._noted: list[tuple[str, type | None, str, float]] = []

    def note(self, account: str, message: type | None, outcome: str, seconds: float) -> None:
        """Count a callback, soon; ``message`` is its message's type, where it was known."""
        if not self._noted:
            self._soon(self.count)
        self._noted.append((account, message, outcome, seconds))

    def count(self) -> None:
        """Count those that are noted."""
        noted, self._noted = self._noted, []
        add, observe = self._metrics.messages.add, self._metrics.callbacks.observe
        for account, message, outcome, seconds in noted:
            if message is not None:
                add((account, message.__name__))
            observe((account, outcome), seconds)
