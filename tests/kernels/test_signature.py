"""The signature kernel, in both implementations."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Kernels, load_kernels, outcome, vectors

SIGNED = [v for v in vectors("crypto.json") if v["kind"] == "plain_signature"]
MSG_SIGNED = [
    v for v in vectors("crypto.json") if v.get("msg_signature") and v["expect"] == "accept"
]


def _parts(vector: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    return vector["token"].encode(), vector["timestamp"].encode(), vector["nonce"].encode()


@pytest.mark.parametrize("vector", SIGNED, ids=lambda v: v["name"])
def test_a_published_signature_matches_exactly_when_it_is_right(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    matches = kernels.signature_matches(vector["signature"].encode(), *_parts(vector))
    assert matches is (vector["expect"] == "accept")


@pytest.mark.parametrize("vector", MSG_SIGNED, ids=lambda v: v["name"])
def test_a_published_msg_signature_is_what_the_kernel_computes(
    kernels: Kernels, vector: dict[str, Any]
) -> None:
    signed = kernels.sign(*_parts(vector), vector["encrypt"].strip().encode())
    assert signed == vector["msg_signature"].encode()


def test_parts_are_sorted_as_bytes_and_joined_with_nothing(kernels: Kernels) -> None:
    """SHA-1 of "abc" is the standard's own example."""
    assert kernels.sign(b"c", b"a", b"b") == b"a9993e364706816aba3e25717850c26c9cd0d89d"
    assert kernels.sign(b"Z_", b"9", b"a+", b"/") == kernels.sign(b"/", b"a+", b"9", b"Z_")


@pytest.mark.parametrize(
    "signature",
    [b"", b"0" * 39, b"0" * 40, b"0" * 41, b"\xff" * 40, "é".encode() * 20, b"\0" * 40],
    ids=["empty", "39", "wrong", "41", "not ASCII", "two-byte", "zeros"],
)
def test_a_signature_of_any_other_shape_does_not_match(kernels: Kernels, signature: bytes) -> None:
    assert kernels.signature_matches(signature, b"token", b"1", b"2") is False


def test_upper_case_does_not_match(kernels: Kernels) -> None:
    """WeChat writes lower case; leniency would only widen what is accepted."""
    signed = kernels.sign(b"token", b"1", b"2")
    assert kernels.signature_matches(signed, b"token", b"1", b"2") is True
    assert kernels.signature_matches(signed.upper(), b"token", b"1", b"2") is False


@pytest.mark.compiled
@given(st.lists(st.binary(max_size=200), min_size=5, max_size=5))
def test_both_implementations_sign_and_match_alike(parts: list[bytes]) -> None:
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    signed = pure.sign(*parts[:4])
    assert signed == compiled.sign(*parts[:4])
    for signature in (signed, parts[4]):
        assert outcome(pure.signature_matches, signature, *parts[:4]) == outcome(
            compiled.signature_matches, signature, *parts[:4]
        )


FALLBACK = """
import ctypes, _hashlib
from gateway.kernels import _openssl
found = _openssl.find_digest("SHA1")
assert found is not None
# It starts another digest, in a context that is zero wherever SHA-1 looks for a length.
other = ctypes.cast(ctypes.CDLL(_hashlib.__file__).SHA224_Init, ctypes.c_void_p).value
_openssl.find_digest = lambda name: {replacement}
from gateway.kernels._signature_c import sign, signature_matches
from gateway.kernels import _signature_py as pure
parts = (b"token", b"1", b"2", b"x" * 500)
assert sign(*parts) == pure.sign(*parts)
assert signature_matches(pure.sign(*parts), *parts)
print("right")
"""


@pytest.mark.compiled
@pytest.mark.parametrize(
    "replacement", ["None", "found._replace(init=other)"], ids=["absent", "digests wrongly"]
)
def test_without_right_functions_hashlib_does_the_work(replacement: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FALLBACK.format(replacement=replacement)],
        capture_output=True,
        text=True,
        check=True,
        # With the switch on, nothing has looked the functions up before the replacement.
        env=os.environ | {"GATEWAY_NO_EXTENSIONS": "1"},
    )
    assert ran.stdout == "right\n"
