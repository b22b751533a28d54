"""Callback signatures: SHA-1 over the sorted parts (PROTOCOL 1.3).

Facts, from the official "message push" page and its worked examples:
- the parts are sorted as byte strings, never as numbers and never by locale;
- they are joined with nothing between them;
- the digest is SHA-1, written as 40 lower-case hex digits.
"""

from hashlib import sha1
from hmac import compare_digest


def sign(token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b"") -> bytes:
    """Return the signature WeChat computes over these parts: 40 hex digits.

    ``encrypt`` is the base64 text of a sealed body; without it the result is the plain
    ``signature``, with it the ``msg_signature``.
    """
    return sha1(b"".join(sorted((token, timestamp, nonce, encrypt)))).hexdigest().encode()  # noqa: S324 - the platform's


def signature_matches(
    signature: bytes, token: bytes, timestamp: bytes, nonce: bytes, encrypt: bytes = b""
) -> bool:
    """Tell whether ``signature`` is the one of these parts, in time that does not depend on it."""
    return compare_digest(signature, sign(token, timestamp, nonce, encrypt))
