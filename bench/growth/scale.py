"""How far a run goes, and how often it measures."""

from typing import Final, NamedTuple


class Scale(NamedTuple):
    """The sizes that are measured, and how."""

    runs: int
    """Over each size and side; their median is shown."""
    seconds: float
    """Of one run, at least."""
    body_kib: tuple[float, ...]
    accounts: tuple[int, ...]
    messages: int
    """Distinct messages over the accounts."""
    routes: tuple[int, ...]
    keys: tuple[int, ...]
    """Messages that the store remembers before it is measured."""


FULL: Final = Scale(
    runs=7,
    seconds=0.05,
    body_kib=(0.5, 2, 8, 32),
    accounts=(1, 100, 10_000),
    messages=10_000,
    routes=(10, 100, 1_000),
    keys=(1_000, 10_000, 100_000, 1_000_000),
)
QUICK: Final = Scale(
    runs=2,
    seconds=0.002,
    body_kib=(0.5, 2),
    accounts=(1, 10),
    messages=20,
    routes=(10, 100),
    keys=(100, 300),
)
"""Whether everything works; its numbers mean nothing."""
