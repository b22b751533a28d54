"""PKCS#7 padding with WeChat's block of 32 bytes, not AES's 16 (PROTOCOL 2)."""

BLOCK = 32
"""Bytes padded to; the platform's choice, so pads of 17 to 32 are valid too."""


def pad(data: bytes) -> bytes:
    """Return ``data`` followed by 1 to 32 bytes, each the number of bytes added."""
    count = BLOCK - len(data) % BLOCK
    return data + bytes((count,)) * count


def unpad(data: bytes) -> bytes:
    """Return ``data`` without its padding.

    Raises ValueError("padding") when the last byte is not 1 to 32, when there are fewer bytes
    than it says, or when the padding bytes are not all alike.
    """
    count = data[-1] if data else 0
    if not 1 <= count <= BLOCK or data[-count:] != bytes((count,)) * count:
        raise ValueError("padding")
    return data[:-count]
