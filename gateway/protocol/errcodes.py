"""WeChat's error codes: what each means, and what is to be done about it.

The table is data, with the source of each line: errcodes.json beside this file (PROTOCOL 8).
"""

from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec


class ErrorClass(StrEnum):
    """What is to be done about an error."""

    SUCCESS = "success"
    """Nothing: it is done."""
    REFRESH_TOKEN = "refresh_token"  # noqa: S105  # a name
    """Get another token once, and repeat the call once."""
    BACKOFF = "backoff"
    """Repeat the call later, each time after a longer pause."""
    RATE_LIMITED = "rate_limited"
    """Stop calling this API, or for this user, for a while."""
    USER = "user"
    """Never repeat it for this user."""
    CONFIG = "config"
    """Never repeat it; an operator has to mend something."""
    REQUEST = "request"
    """Never repeat it: the request itself is wrong."""


class Errcode(msgspec.Struct, frozen=True):
    """A code, with what is known of it."""

    code: int
    error_class: ErrorClass = msgspec.field(name="class")
    meaning: str
    source: str


class _Table(msgspec.Struct):
    codes: list[Errcode]


def errcode(code: int) -> Errcode | None:
    """Return what is known of a code; None where nothing is."""
    return _table().get(code)


@cache
def _table() -> dict[int, Errcode]:
    text = (files("gateway.protocol") / "errcodes.json").read_bytes()
    return {one.code: one for one in msgspec.json.decode(text, type=_Table).codes}
