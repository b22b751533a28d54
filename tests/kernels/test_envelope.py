"""The envelope kernel, in both implementations."""

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from Crypto.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.account import decode_aes_key
from tests.support import Kernels, load_kernels, outcome, vectors

KEY = bytes(range(32))
OPENED = [
    v
    for v in vectors("crypto.json")
    if v["kind"] in ("msg_decrypt", "aes_decrypt", "url_verify_encrypted")
    and v["expect"] == "accept"
]
SEALED = [v for v in vectors("crypto.json") if v["kind"] == "reply_encrypt"]


def _seal_raw(frame: bytes, key: bytes = KEY) -> bytes:
    return base64.b64encode(AES.new(key, AES.MODE_CBC, iv=key[:16]).encrypt(frame))


@pytest.mark.parametrize("vector", OPENED, ids=lambda v: v["name"])
def test_a_published_ciphertext_opens(kernels: Kernels, vector: dict[str, Any]) -> None:
    cipher = kernels.EnvelopeCipher(decode_aes_key(vector["encoding_aes_key"]))
    message, receiver_id = cipher.open(vector["encrypt"].strip().encode())
    assert message.decode() == vector["plaintext"]
    assert receiver_id.decode() == vector["receiver_id"]


@pytest.mark.parametrize("vector", SEALED, ids=lambda v: v["name"])
def test_a_published_reply_is_sealed_to_the_same_bytes(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    """Twice, for the chain of the first message must not show in the second."""
    cipher = kernels.EnvelopeCipher(decode_aes_key(vector["encoding_aes_key"]))
    for _ in range(2):
        sealed = cipher.seal(
            vector["random"].encode(), vector["plaintext"].encode(), vector["appid"].encode()
        )
        assert sealed.decode() == vector["encrypt"]


@pytest.mark.parametrize(
    ("encrypt", "reason"),
    [
        (b"", "block"),
        (b"AAA", "base64"),
        (b"AAAA", "block"),
        (b"AA A", "base64"),
        (b"AAA\n", "base64"),
        (b"AA-_", "base64"),
        (b"A===", "base64"),
        (b"====", "base64"),
        (b"AA=A", "base64"),
        (b"AA==AAAA", "base64"),
        (b"\xff" * 4, "base64"),
        (_seal_raw(bytes(48)), "padding"),
        (_seal_raw(b"\x21" * 48), "padding"),
        (_seal_raw(b"x" * 31 + b"\x02"), "padding"),
        (_seal_raw(b"\x20" * 32), "length"),
        (_seal_raw(bytes(15) + b"\x11" * 17), "length"),
        (_seal_raw(bytes(19) + b"\x02" + b"x" + b"\x0b" * 11), "length"),
        (_seal_raw(bytes(16) + b"\xff" * 4 + b"\x0c" * 12), "length"),
    ],
)
def test_what_does_not_open_is_refused_with_its_reason(
    kernels: Kernels, encrypt: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        kernels.EnvelopeCipher(KEY).open(encrypt)


def test_a_refused_message_does_not_spoil_the_next(kernels: Kernels) -> None:
    cipher = kernels.EnvelopeCipher(KEY)
    sealed = cipher.seal(bytes(16), b"message", b"wx1")
    for bad in (b"", b"AAAA", _seal_raw(bytes(48))):
        outcome(cipher.open, bad)
        assert cipher.open(sealed) == (b"message", b"wx1")


@pytest.mark.parametrize("size", [0, 16, 24, 31, 33, 64])
def test_a_key_of_another_size_is_refused(kernels: Kernels, size: int) -> None:
    with pytest.raises(ValueError, match=r"^key$"):
        kernels.EnvelopeCipher(bytes(size))


@pytest.mark.compiled
def test_a_compiled_cipher_without_a_key_cannot_be_made() -> None:
    """It would call through pointers that nobody set."""
    cipher = load_kernels("compiled").EnvelopeCipher
    with pytest.raises(TypeError):
        cipher.__new__(cipher)


def test_random_of_another_size_is_refused(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match=r"^random$"):
        kernels.EnvelopeCipher(KEY).seal(bytes(15), b"", b"")


@pytest.mark.parametrize("size", [0, 1, 11, 12, 13, 3000, 5000, 60_000])
def test_a_message_of_any_size_survives(kernels: Kernels, size: int) -> None:
    cipher = kernels.EnvelopeCipher(KEY)
    message = bytes(i % 251 for i in range(size))
    assert cipher.open(cipher.seal(bytes(16), message, b"wx1")) == (message, b"wx1")


def test_threads_that_share_a_cipher_do_not_mix_their_messages(kernels: Kernels) -> None:
    cipher = kernels.EnvelopeCipher(KEY)

    def round_trips(number: int) -> bool:
        message = str(number).encode() * 200
        return all(
            cipher.open(cipher.seal(bytes(16), message, b"wx1"))[0] == message for _ in range(100)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trips, range(16)))


@pytest.mark.compiled
@given(
    st.binary(min_size=32, max_size=32),
    st.lists(
        st.tuples(
            st.binary(min_size=16, max_size=16), st.binary(max_size=300), st.binary(max_size=40)
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_seal_then_open_is_identity_and_both_implementations_agree(
    key: bytes, messages: list[tuple[bytes, bytes, bytes]]
) -> None:
    pure = load_kernels("pure").EnvelopeCipher(key)
    compiled = load_kernels("compiled").EnvelopeCipher(key)
    for random, message, receiver_id in messages:
        sealed = pure.seal(random, message, receiver_id)
        assert sealed == compiled.seal(random, message, receiver_id)
        assert pure.open(sealed) == compiled.open(sealed) == (message, receiver_id)


@pytest.mark.compiled
@given(
    st.one_of(
        st.binary(max_size=100),
        st.binary(max_size=100).map(base64.b64encode),
        st.integers(0, 6).flatmap(
            lambda n: st.binary(min_size=16 * n, max_size=16 * n).map(base64.b64encode)
        ),
        st.text("AB=+/_- ", max_size=12).map(str.encode),
    )
)
def test_both_implementations_agree_on_any_text(encrypt: bytes) -> None:
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.EnvelopeCipher(KEY).open, encrypt) == outcome(
        compiled.EnvelopeCipher(KEY).open, encrypt
    )


@pytest.mark.compiled
def test_the_compiled_functions_of_pycryptodome_are_found_and_used() -> None:
    """Fails when a new pycryptodome moves them: the fallback would be silent and slow."""
    backend = load_kernels("compiled").EnvelopeCipher(KEY).backend
    assert backend.endswith("called by address")


FALLBACK = """
from gateway.kernels import _aes
found = _aes.find_raw_functions()
other = lambda library, name: _aes._address(_aes._open(library), name)
_aes.find_raw_functions = lambda: {replacement}
from gateway.kernels._envelope_c import EnvelopeCipher
from gateway.kernels._envelope_py import EnvelopeCipher as Pure
cipher, pure = EnvelopeCipher(bytes(range(32))), Pure(bytes(range(32)))
print(cipher.backend)
for message in (b"one", b"two" * 100):
    sealed = cipher.seal(bytes(16), message, b"wx1")
    assert sealed == pure.seal(bytes(16), message, b"wx1")
    assert cipher.open(sealed) == (message, b"wx1")
"""


@pytest.mark.compiled
@pytest.mark.parametrize(
    "replacement",
    [
        "None",
        "found._replace(cbc_encrypt=other('_raw_cbc', 'CBC_decrypt'))",
        "found._replace(ecb_decrypt=other('_raw_ecb', 'ECB_encrypt'))",
    ],
    ids=["absent", "encrypts wrongly", "decrypts wrongly"],
)
def test_without_right_functions_the_public_interface_does_the_work(replacement: str) -> None:
    code = FALLBACK.format(replacement=replacement)
    # With the switch on, nothing has looked the functions up before the replacement.
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GATEWAY_NO_EXTENSIONS": "1"},
    )
    assert ran.stdout.strip() == "pycryptodome, public interface"
