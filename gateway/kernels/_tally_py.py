"""Counts what comes in kinds, with an outcome and a value, in cells that others may read."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, MutableSequence
from typing import Any

Cells = MutableSequence[float]
"""Doubles in a row: an array, or a memoryview of format ``d`` that may be written to."""


class Tally:
    """Counts in cells whose rows are looked for once."""

    __slots__ = ("_bounds", "_cells", "_kind_row", "_kinds", "_outcome_row", "_outcomes", "_sum")

    def __init__(
        self,
        cells: Cells,
        bounds: "array[float]",
        kind_row: Callable[[Any], int],
        outcome_row: Callable[[str], int],
    ) -> None:
        """``bounds`` ascend: what a value of each bucket is at most.

        The functions return the first cell of a kind, which has one; and of an outcome, which has
        one for each bound, one for what is larger, and one for the sum of all values.
        """
        self._cells = cells
        self._bounds = bounds
        self._sum = len(bounds) + 1
        self._kinds: dict[Any, int] = {}
        self._outcomes: dict[str, int] = {}
        self._kind_row = kind_row
        self._outcome_row = outcome_row

    def count(self, kind: Any, outcome: str, value: float) -> None:
        """Count one of a kind, and its value by its outcome.

        Raises ValueError where a row has cells that are not there, and what the functions raise.
        """
        told, row = self._kinds.get(kind), self._outcomes.get(outcome)
        if told is None:
            told = self._found(self._kinds, kind, self._kind_row, 1)
        if row is None:
            row = self._found(self._outcomes, outcome, self._outcome_row, self._sum + 1)
        cells = self._cells
        cells[told] += 1.0
        cells[row + bisect_left(self._bounds, value)] += 1.0
        cells[row + self._sum] += value

    def _found(self, rows: dict[Any, int], what: Any, find: Callable[[Any], int], more: int) -> int:
        """Return the row of what was never counted before, all of whose cells there are."""
        row = find(what)
        if row < 0 or row + more > len(self._cells):
            raise ValueError("row")
        rows[what] = row
        return row
