"""Which kernels the timed code runs on, and the name of the side that is timed."""

from importlib.util import find_spec

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro.sides import SIDE, Side
from tests.support import Kernels, use_kernels


@pytest.fixture
def timed(benchmark: BenchmarkFixture) -> BenchmarkFixture:
    """Times a function; the side is the gateway's own unless another fixture says which."""
    benchmark.extra_info.setdefault(SIDE, Side.SHARED)
    return benchmark


def _implementations() -> list[Side]:
    # Whether the compiled ones must be there is for tests/kernels to say.
    built = find_spec("gateway.kernels._fields_c") is not None
    return [Side.COMPILED, Side.PURE] if built else [Side.PURE]


@pytest.fixture(params=_implementations())
def kernels(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch
) -> Kernels:
    """The kernels, once per implementation; the protocol uses the same for the test's time."""
    side: Side = request.param
    benchmark.extra_info[SIDE] = side
    return use_kernels(monkeypatch, side)


@pytest.fixture
def as_pure(benchmark: BenchmarkFixture) -> None:
    """Put what the test times down to the pure Python kernels."""
    benchmark.extra_info[SIDE] = Side.PURE


@pytest.fixture
def as_wechatpy(benchmark: BenchmarkFixture) -> None:
    """Put what the test times down to wechatpy."""
    benchmark.extra_info[SIDE] = Side.WECHATPY
