"""The kernel that digests texts, in both implementations."""

import os
import subprocess
import sys
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Kernels, load_kernels, outcome


def test_a_digest_is_the_head_of_the_sha_256_over_the_parts(kernels: Kernels) -> None:
    expected = sha256("\x1fa\x1f\x1f你好".encode()).digest()[:16]
    assert kernels.digest_of(("a", "", "你好")) == expected


def test_what_stands_in_one_part_is_not_what_stands_in_another(kernels: Kernels) -> None:
    seen = {kernels.digest_of(p) for p in [("ab", ""), ("a", "b"), ("", "ab"), ("ab",), ()]}
    assert len(seen) == 5


_PARTS = st.lists(
    st.text(st.characters(codec=None), max_size=80) | st.integers() | st.none(), max_size=9
)


@pytest.mark.compiled
@given(_PARTS)
def test_both_implementations_digest_alike(parts: list[object]) -> None:
    """Also what is no text, which JSON can hold where a text is due."""
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.digest_of, tuple(parts)) == outcome(compiled.digest_of, tuple(parts))


FALLBACK = """
import ctypes, _hashlib
from gateway.kernels import _openssl
found = _openssl.find_digest("SHA256")
assert found is not None
# It starts another digest, whose context is the same but for its first words.
other = ctypes.cast(ctypes.CDLL(_hashlib.__file__).SHA224_Init, ctypes.c_void_p).value
_openssl.find_digest = lambda name: {replacement}
from gateway.kernels._digest_c import digest_of
from gateway.kernels import _digest_py as pure
assert digest_of(("a", "b" * 500)) == pure.digest_of(("a", "b" * 500))
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
