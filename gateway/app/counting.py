"""Where a process counts: cells of its own, or those that the workers of one server share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.settings import CELLS_VARIABLE
from gateway.telemetry.cells import Cells, SharedCells, Values
from gateway.telemetry.metrics import Metrics


class Counting(NamedTuple):
    """What a process counts in."""

    metrics: Metrics
    read: Callable[[], list[Values]]
    """Returns what all processes counted that share it."""
    folder: Path | None
    """Where they share it; None where this one counts for itself."""


def make_counting() -> Counting:
    """Return it: shared with the other workers, where `gateway serve` made a folder for that."""
    folder = os.environ.get(CELLS_VARIABLE)
    if folder is None:
        cells = Cells.alone()
        return Counting(Metrics(cells), cells.read, None)
    shared = SharedCells(Path(folder))
    return Counting(Metrics(shared.own), shared.read, Path(folder))
