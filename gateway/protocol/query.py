"""The query string of a callback: the parameters WeChat signs, as bytes."""

from gateway import kernels
from gateway.errors import Reason, Refused
from gateway.kernels import Query

__all__ = ["Query", "parse_query", "required"]


def parse_query(raw: bytes) -> Query:
    """Return the parameters of a raw query string.

    A ``+`` stays a ``+``: WeChat sends no blanks, and base64 that a proxy unescaped then survives.
    Raises Refused where one of the platform's parameters comes twice, or the string is too long.
    """
    try:
        return kernels.parse_query(raw)
    except ValueError:
        raise Refused(Reason.QUERY) from None


def required(query: Query, name: bytes) -> bytes:
    """Return a parameter that must be there and not be empty; raise Refused where it is not."""
    value = query.get(name)
    if not value:
        raise Refused(Reason.QUERY)
    return value
