"""The padding kernel, in both implementations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Kernels, load_kernels, outcome


@pytest.mark.parametrize("size", range(70))
def test_unpad_takes_off_what_pad_put_on(kernels: Kernels, size: int) -> None:
    data = bytes(range(size))
    padded = kernels.pad(data)
    assert len(padded) % 32 == 0
    assert 1 <= padded[-1] <= 32
    assert kernels.unpad(padded) == data


def test_a_whole_block_gets_a_block_of_padding(kernels: Kernels) -> None:
    assert kernels.pad(b"x" * 32) == b"x" * 32 + b"\x20" * 32


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"x" * 31 + b"\0", b"x" * 31 + b"\x21", b"\x02", b"x" * 30 + b"\x03\x02", b"\xff"],
    ids=["empty", "zero", "zero at the end", "33", "too short", "not alike", "255"],
)
def test_wrong_padding_is_refused(kernels: Kernels, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^padding$"):
        kernels.unpad(data)


@pytest.mark.compiled
@given(st.one_of(st.binary(max_size=96), st.binary(max_size=64).map(load_kernels("pure").pad)))
def test_both_implementations_agree_on_any_bytes(data: bytes) -> None:
    pure, compiled = load_kernels("pure"), load_kernels("compiled")
    assert outcome(pure.unpad, data) == outcome(compiled.unpad, data)
    assert outcome(pure.pad, data) == outcome(compiled.pad, data)
