"""The sealed envelope: base64 over AES-256-CBC over a padded frame (PROTOCOL 2).

A frame is ``random(16) | length(4, big endian) | message | receiver id``; the length is that of
the message, in bytes. The receiver id runs to the frame's end.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Final

from gateway.kernels._aes import AesCbc
from gateway.kernels._padding_py import pad, unpad

_HEAD: Final = 20


class EnvelopeCipher:
    """Opens and seals under one AES key of 32 bytes; raises ValueError("key") for another size."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("key")
        self._aes = AesCbc(key)

    @property
    def backend(self) -> str:
        """What does the AES."""
        return "pycryptodome, public interface"

    def open(self, encrypt: bytes) -> tuple[bytes, bytes]:
        """Return the message and the receiver id sealed in a base64 text.

        Raises ValueError, in the order the platform checks: "base64" when the text is not
        standard base64 in one line; "block" when it holds no whole number of AES
        blocks, or none; "padding"; "length" when the frame is shorter than it says.
        """
        if len(encrypt) % 4:
            raise ValueError("base64")
        try:
            sealed = a2b_base64(encrypt, strict_mode=True)
        except Base64Error:
            raise ValueError("base64") from None
        if not sealed or len(sealed) % 16:
            raise ValueError("block")
        frame = unpad(self._aes.decrypt(sealed))
        end = _HEAD + int.from_bytes(frame[16:_HEAD], "big")
        if len(frame) < _HEAD or end > len(frame):
            raise ValueError("length")
        return frame[_HEAD:end], frame[end:]

    def seal(self, random: bytes, message: bytes, receiver_id: bytes) -> bytes:
        """Return the base64 text that seals a message; ``random`` is 16 bytes, else "random"."""
        if len(random) != 16:
            raise ValueError("random")
        frame = random + len(message).to_bytes(4, "big") + message + receiver_id
        return b2a_base64(self._aes.encrypt(pad(frame)), newline=False)
