"""The secrets of Standard Webhooks, as settings hold them."""

import base64
from typing import Final

from pydantic import SecretStr

_MAKE: Final = "make one with: echo whsec_$(openssl rand -base64 32)"


def check_secret(secret: SecretStr | None) -> SecretStr | None:
    """Return the secret; raise ValueError, saying how to make one, where it is none."""
    if secret is not None and not _is_secret(secret.get_secret_value()):
        raise ValueError(f"must be whsec_ and 24 to 64 bytes in base64; {_MAKE}")
    return secret


def _is_secret(text: str) -> bool:
    prefix, _, encoded = text.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False
