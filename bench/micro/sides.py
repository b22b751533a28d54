"""Who does the work of a row, and how a test says which row and side it times."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import pytest

Timed = Callable[..., Any]
"""Times a function with its arguments and returns what one more, untimed call of it gives."""


class Side(StrEnum):
    """Whose code a test times."""

    COMPILED = "compiled"
    PURE = "pure"
    WECHATPY = "wechatpy"
    SHARED = "shared"
    """Code of the gateway that uses no kernel: the same with either implementation."""


SIDE: Final = "side"
"""The name under which a test's side stands among pytest-benchmark's extra information."""

WHOLE_PATH: Final = "whole path"
"""The row that the goals are about."""


def row(name: str) -> pytest.MarkDecorator:
    """Put a test, which times one side of it, into a row of the table."""
    return pytest.mark.benchmark(group=name)


by_pure: Final = pytest.mark.usefixtures("as_pure")
"""Marks a test that times a part of the pure Python kernels that is not the protocol's to call."""

by_wechatpy: Final = pytest.mark.usefixtures("as_wechatpy")
"""Marks a test that times wechatpy's way of doing the row's step."""
