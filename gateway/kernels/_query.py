"""The query string of a callback: its parameters, as bytes."""

from typing import Final
from urllib.parse import unquote_to_bytes

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
    Raises ValueError("query") where one of the platform's parameters comes twice, or the string is
    too long.
    """
    if len(raw) > MAX_SIZE:
        raise ValueError("query")
    escaped = b"%" in raw
    query: Query = {}
    for pair in raw.split(b"&"):
        name, _, value = pair.partition(b"=")
        if escaped:
            name, value = unquote_to_bytes(name), unquote_to_bytes(value)
        if name in query and name in SIGNED:
            raise ValueError("query")
        query[name] = value
    return query
