"""AES-256-CBC under one fixed key and IV, by pycryptodome (PROTOCOL 2: the IV is the key's head).

WeChat seals every message of an account under the same key and the same IV, so the cipher is set
up once and its chain is put back to the IV before each message. Setting it up for each message
costs three times the work itself (bench/micro).
"""

import ctypes
from importlib.util import find_spec
from threading import Lock
from typing import Final, NamedTuple

from Crypto.Cipher import AES

_BLOCK: Final = 16


class AesCbc:
    """The public interface of pycryptodome, its cipher objects kept between messages."""

    def __init__(self, key: bytes) -> None:
        self._iv = key[:_BLOCK]
        self._decryptor = AES.new(key, AES.MODE_CBC, iv=self._iv)
        self._encryptor = AES.new(key, AES.MODE_CBC, iv=self._iv)
        self._chain = self._iv
        # pycryptodome lets other threads run while it computes; each call changes the chain.
        self._lock = Lock()

    def decrypt(self, data: bytes) -> bytes:
        """Return ``data``, a multiple of 16 bytes, decrypted from the IV on."""
        with self._lock:
            # The block ahead of the first is what the chain takes for the IV.
            return self._decryptor.decrypt(self._iv + data)[_BLOCK:]

    def encrypt(self, data: bytes) -> bytes:
        """Return ``data``, a multiple of 16 bytes and not empty, encrypted from the IV on."""
        with self._lock:
            # CBC adds the previous block to the first; this takes it out and puts the IV in.
            shift = int.from_bytes(self._chain, "big") ^ int.from_bytes(self._iv, "big")
            head = int.from_bytes(data[:_BLOCK], "big") ^ shift
            sealed = self._encryptor.encrypt(head.to_bytes(_BLOCK, "big") + data[_BLOCK:])
            self._chain = sealed[-_BLOCK:]
            return sealed


class RawFunctions(NamedTuple):
    """Addresses of pycryptodome's own compiled functions, for a compiled caller."""

    name: str
    aes_start: int
    cbc_start: int
    cbc_encrypt: int
    cbc_stop: int
    ecb_start: int
    ecb_decrypt: int
    ecb_stop: int


def find_raw_functions() -> RawFunctions | None:
    """Look pycryptodome's compiled functions up; None if this release does not have them so.

    The names are private to pycryptodome. A caller must prove what it builds from them against
    AesCbc before it relies on them.
    """
    try:
        from Crypto.Util import _cpu_features  # noqa: PLC0415 - private: it may not be there

        name, prefix = ("_raw_aes", "AES")
        if _cpu_features.have_aes_ni():
            name, prefix = ("_raw_aesni", "AESNI")
        aes, cbc, ecb = _open(name), _open("_raw_cbc"), _open("_raw_ecb")
        return RawFunctions(
            f"pycryptodome {prefix}, called by address",
            _address(aes, f"{prefix}_start_operation"),
            _address(cbc, "CBC_start_operation"),
            _address(cbc, "CBC_encrypt"),
            _address(cbc, "CBC_stop_operation"),
            _address(ecb, "ECB_start_operation"),
            _address(ecb, "ECB_decrypt"),
            _address(ecb, "ECB_stop_operation"),
        )
    except (ImportError, AttributeError, OSError):
        return None


def _open(name: str) -> ctypes.CDLL:
    spec = find_spec(f"Crypto.Cipher.{name}")
    if spec is None or spec.origin is None:
        raise ImportError(name)
    return ctypes.CDLL(spec.origin)


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    if address is None:
        raise AttributeError(name)
    return address
