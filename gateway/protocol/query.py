"""The query string of a callback: the parameters WeChat signs, as bytes."""

from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import Reason, Refused

Query = dict[bytes, bytes]
"""Name to value; a parameter without a value has an empty one."""

MAX_SIZE: Final = 4096
"""Bytes of a query string; WeChat's have about 250, an encrypted echostr some 150 more."""

SIGNED: Final = frozenset(
    (b"signature", b"timestamp", b"nonce", b"msg_signature", b"echostr", b"encrypt_type", b"openid")
)
"""The platform's own parameters; an operator may put others in the callback URL."""


def parse_query(raw: bytes) -> Query:
    """Return the parameters of a raw query string.

    A ``+`` stays a ``+``: WeChat sends no blanks, and base64 that a proxy unescaped then survives.
    Raises Refused where one of the platform's parameters comes twice, or the string is too long.
    """
    if len(raw) > MAX_SIZE:
        raise Refused(Reason.QUERY)
    escaped = b"%" in raw
    query: Query = {}
    for pair in raw.split(b"&"):
        name, _, value = pair.partition(b"=")
        if escaped:
            name, value = unquote_to_bytes(name), unquote_to_bytes(value)
        if name in query and name in SIGNED:
            raise Refused(Reason.QUERY)
        query[name] = value
    return query


def required(query: Query, name: bytes) -> bytes:
    """Return a parameter that must be there and not be empty; raise Refused where it is not."""
    value = query.get(name)
    if not value:
        raise Refused(Reason.QUERY)
    return value
