"""An Official Account as its callbacks see it: ids, tokens, keys and rules, ready for use."""

from binascii import Error as Base64Error
from binascii import a2b_base64
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.kernels import EnvelopeCipher


class Mode(StrEnum):
    """How WeChat sends message bodies; set in its console and here alike (PROTOCOL 1.2)."""

    PLAIN = "plain"
    """明文模式: nothing is sealed; the signature does not cover the body."""
    COMPAT = "compat"
    """兼容模式: the fields come in plain and sealed; only what was sealed is believed."""
    SAFE = "safe"
    """安全模式: everything is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account. Its secrets stay out of its repr."""

    name: str
    """The name in the settings and in the callback's path."""
    app_id: str
    """The receiver id of sealed messages; a third-party platform puts its component app id."""
    mode: Mode
    tokens: tuple[bytes, ...] = field(repr=False)
    """The current token, then the previous one while a rotation is under way."""
    ciphers: tuple[EnvelopeCipher, ...] = field(default=(), repr=False)
    """The current key's cipher, then the previous one's; none in plain mode."""
    original_id: str | None = None
    """The ``gh_…`` id that ToUserName must be, if pinned."""
    timestamp_window: int = 600
    """Seconds a request's timestamp may be off, either way; 0 turns the check off."""
    refuse_replays: bool = True
    """Whether, in plain mode, a request that came before is refused with another body."""
    receiver_id: bytes = field(init=False)
    """``app_id`` in bytes, as envelopes carry it."""

    is_plain: bool = field(init=False)
    """Whether the mode is plain: looked at for each callback, and an enum's member costs more."""

    def __post_init__(self) -> None:
        # Frozen, but not before it is made.
        object.__setattr__(self, "receiver_id", self.app_id.encode())
        object.__setattr__(self, "is_plain", self.mode is Mode.PLAIN)


def decode_aes_key(encoding_aes_key: str) -> bytes:
    """Return the 32 bytes of an EncodingAESKey of 43 base64 characters.

    Raises ValueError for any other text. Three of four keys have low bits set in their last
    character that no byte holds; strict decoders refuse them, WeChat does not (PROTOCOL 2).
    """
    if len(encoding_aes_key) != 43:
        raise ValueError(f"has {len(encoding_aes_key)} characters; it must have 43")
    try:
        key = a2b_base64(encoding_aes_key.encode("ascii") + b"=")
    except (Base64Error, UnicodeEncodeError):
        key = b""
    if len(key) != 32:
        raise ValueError("must consist of the letters A-Z and a-z and the digits 0-9")
    return key
