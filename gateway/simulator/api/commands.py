"""How a request that sets the platform is read, and refused."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from gateway.simulator.api.wire import Asked

Handle = Callable[[Asked], Any]
Handles = Mapping[str, tuple[str, Handle]]
"""A method and what it does, by the path below the prefix; one that ends in / has a name behind."""

_T = TypeVar("_T")


class Wrong(Exception):
    """A request that is not understood: a status, and why."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


def read(body: bytes, kind: type[_T]) -> _T:
    """Return what a body says; raise Wrong where it is of no such kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as wrong:
        raise Wrong(str(wrong)) from None
