"""What all tests share: both kernel implementations, the vectors, accounts."""

import os
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from gateway.kernels import IMPLEMENTATION, NO_EXTENSIONS
from tests.support import KERNELS, Kernels, load_kernels

settings.register_profile("ci", max_examples=300, deadline=None)
settings.register_profile(
    "dev",
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_report_header() -> str:
    """Say which kernels the gateway itself picked."""
    return f"kernels: {IMPLEMENTATION}, NO_EXTENSIONS={NO_EXTENSIONS}"


def _implementations() -> list[str]:
    # Without a compiler the pure twins are all there is; CI always has one, and must have both.
    if NO_EXTENSIONS and not os.environ.get("CI"):
        return ["pure"]
    return ["pure", "compiled"]


@pytest.fixture(params=_implementations())
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    """The kernels, once per implementation; the protocol uses the same for the test's time."""
    chosen = load_kernels(request.param)
    for module_name, names in KERNELS.items():
        module: Any = import_module(module_name)
        for name in names:
            monkeypatch.setattr(module, name, getattr(chosen, name))
    return chosen
