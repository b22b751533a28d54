"""How often a message was delivered: a bounded memory of recent keys."""

from collections import OrderedDict
from typing import Final

KEEP_SECONDS: Final = 60.0
"""WeChat's three deliveries are over in 15 seconds (PROTOCOL 3)."""

MAX_KEYS: Final = 10_000
"""Keys remembered; the oldest goes first."""


class Attempts:
    """Counts the deliveries of each key within one process."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def count(self, key: bytes, now: float) -> int:
        """Count one delivery of ``key`` at ``now`` (seconds, any clock); return how many so far."""
        since, count = self._seen.pop(key, (now, 0))
        if now - since > KEEP_SECONDS:
            since, count = now, 0
        self._seen[key] = (since, count + 1)
        if len(self._seen) > MAX_KEYS:
            self._seen.popitem(last=False)
        return count + 1
