"""API keys: those of the settings, and new ones."""

import os
from typing import NamedTuple

from gateway.http.api.keys import KEY_BYTES, ApiKey, Keys, digest_of, fresh_key
from gateway.settings import Settings


class NewKey(NamedTuple):
    """A key that nobody has yet."""

    key: str
    """To be shown once, and kept by whoever will use it."""
    hash: str
    """For the settings."""


def new_key() -> NewKey:
    """Make a key."""
    key = fresh_key(os.urandom(KEY_BYTES))
    return NewKey(key, digest_of(key).hex())


def make_keys(settings: Settings) -> Keys:
    """Return the keys of the settings."""
    return Keys(
        [
            ApiKey(name, bytes.fromhex(key.hash), frozenset(key.scopes), frozenset(key.accounts))
            for name, key in settings.api_keys.items()
        ]
    )
