"""Keys, made from the operator's one secret: one for each use, so that none serves two."""

from hashlib import sha256
from typing import Final, NamedTuple

from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

KEY_BYTES: Final = 32
_ID_DIGITS: Final = 8


class Key(NamedTuple):
    """A key, with the name that is written beside what was made with it."""

    id: str
    """Eight hex digits, which tell nothing of the key."""
    value: bytes

    def __repr__(self) -> str:
        return f"Key({self.id})"


class KeyRing(NamedTuple):
    """The key that things are made with, and those that they may have been made with before."""

    current: Key
    previous: tuple[Key, ...] = ()

    def find(self, id_: object) -> Key | None:
        """Return the key of this name; None where there is none."""
        return next((key for key in (self.current, *self.previous) if key.id == id_), None)

    @property
    def all(self) -> tuple[Key, ...]:
        """All of them, the current one first."""
        return (self.current, *self.previous)


def key_ring(secrets: tuple[str, ...], use: str) -> KeyRing:
    """Return the keys of secrets for one use, the current one's first (HKDF, RFC 5869)."""
    current, *previous = (_derive(secret, use) for secret in secrets)
    return KeyRing(current, tuple(previous))


def _derive(secret: str, use: str) -> Key:
    value = HKDF(secret.encode(), KEY_BYTES, b"", SHA256, context=f"gateway/{use}".encode())
    key = bytes(value)
    return Key(sha256(key).hexdigest()[:_ID_DIGITS], key)
