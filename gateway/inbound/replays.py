"""Plain-mode requests sent again with another body: what a signature that leaves it out allows."""

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

MAX_SEEN: Final = 50_000
"""Requests remembered in a process; the oldest goes first."""


class Replays:
    """Remembers which body came with which timestamp and nonce, as digests."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[bytes, bytes] = OrderedDict()

    def is_changed(self, account: str, timestamp: bytes, nonce: bytes, body: bytes) -> bool:
        """Tell whether these came before with another body; the same body again is a retry.

        It is not documented whether WeChat's retries repeat timestamp and nonce (PROTOCOL 1.3),
        so the same body must never be refused.
        """
        request = _digest(b"%b\0%b\0%b" % (account.encode(), timestamp, nonce))
        digest = _digest(body)
        known = self._bodies.setdefault(request, digest)
        if len(self._bodies) > MAX_SEEN:
            self._bodies.popitem(last=False)
        return known != digest


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
