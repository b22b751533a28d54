"""Somebody who looks on at this process."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.telemetry.tap import TAP, Interest, Told


class Witness:
    """Notes what happens."""

    def __init__(self, interest: Interest = Interest()) -> None:  # noqa: B008  # immutable
        self.interest = interest
        self.told: list[Told] = []

    def hear(self, told: Told) -> None:
        """Note it."""
        self.told.append(told)


@contextmanager
def looking_on() -> Iterator[list[Told]]:
    """Give what is told meanwhile."""
    witness = Witness()
    TAP.open(witness)
    try:
        yield witness.told
    finally:
        TAP.close(witness)
