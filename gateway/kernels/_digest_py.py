"""A short digest of texts: what tells one message from another."""

from hashlib import sha256


def digest_of(parts: tuple[str, ...]) -> bytes:
    """Return 16 bytes of the SHA-256 over the parts in UTF-8, each behind a unit separator.

    A lone half of a surrogate pair, which JSON can hold, is encoded as such.
    """
    joined = "".join([f"\x1f{part}" for part in parts])
    return sha256(joined.encode("utf-8", "surrogatepass")).digest()[:16]
