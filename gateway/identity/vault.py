"""What is kept of users and nobody is to read: sealed by AES-256-GCM, each to its own place."""

from collections.abc import Callable
from typing import Final

from Crypto.Cipher import AES

from gateway.identity.keys import KeyRing

NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ID_BYTES: Final = 4


class CannotOpen(Exception):
    """What was sealed is not whole, belongs elsewhere, or its key is gone."""


class Vault:
    """Seals and opens."""

    def __init__(self, keys: KeyRing, random: Callable[[int], bytes]) -> None:
        """Seal with the current key; ``random`` gives so many bytes."""
        self._keys = keys
        self._random = random

    def seal(self, plain: bytes, place: str) -> bytes:
        """Return what only ``open`` reads, and only with the same ``place``.

        The key's name, a nonce, a tag, and the text.
        """
        key = self._keys.current
        nonce = self._random(NONCE_BYTES)
        cipher = AES.new(key.value, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
        cipher.update(place.encode())
        sealed, tag = cipher.encrypt_and_digest(plain)
        return bytes.fromhex(key.id) + nonce + tag + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what was sealed; raise CannotOpen."""
        view = memoryview(sealed)
        id_, nonce, tag, text = _split(view, _ID_BYTES, NONCE_BYTES, _TAG_BYTES)
        key = self._keys.find(id_.hex())
        if key is None or len(tag) != _TAG_BYTES:
            raise CannotOpen
        cipher = AES.new(key.value, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
        cipher.update(place.encode())
        try:
            return cipher.decrypt_and_verify(text, tag)
        except ValueError:
            raise CannotOpen from None


def _split(view: memoryview, *sizes: int) -> list[memoryview]:
    parts = []
    for size in sizes:
        parts.append(view[:size])
        view = view[size:]
    return [*parts, view]
