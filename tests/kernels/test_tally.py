"""The kernel that counts in cells, in both implementations."""

import mmap
from array import array
from collections.abc import Callable
from math import inf, nan
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import Kernels, load_kernels, outcome

BOUNDS: Final = (0.5, 1.0, 2.0)
_ROW: Final = len(BOUNDS) + 2


def rows(first: int, cells: int) -> Callable[[object], int]:
    """Return what gives each thing the next row of so many cells."""
    known: dict[object, int] = {}
    return lambda what: known.setdefault(what, first + cells * len(known))


def make(kernels: Kernels, cells: Any, outcomes: int = 10) -> Any:
    """Return a tally whose kinds have the first cells, and whose outcomes those behind."""
    return kernels.Tally(cells, array("d", BOUNDS), rows(0, 1), rows(outcomes, _ROW))


def test_a_kind_is_counted_and_its_value_in_its_bucket_and_in_the_sum(kernels: Kernels) -> None:
    cells = array("d", bytes(8 * 30))
    tally = make(kernels, cells)
    for kind, how, value in [
        (int, "ok", 0.5),
        (int, "ok", 0.6),
        (str, "ok", 9.0),
        (str, "bad", 2.0),
    ]:
        tally.count(kind, how, value)
    assert cells.tolist()[:2] == [2.0, 2.0]
    assert cells.tolist()[10:15] == [1.0, 1.0, 0.0, 1.0, 0.5 + 0.6 + 9.0]
    assert cells.tolist()[15:20] == [0.0, 0.0, 1.0, 0.0, 2.0]


def test_a_row_is_looked_for_once(kernels: Kernels) -> None:
    asked: list[object] = []

    def find(what: object) -> int:
        asked.append(what)
        return 0

    tally = kernels.Tally(array("d", bytes(80)), array("d", BOUNDS), find, find)
    for _ in range(3):
        tally.count(int, "ok", 1.0)
    assert asked == [int, "ok"]


def test_others_read_what_is_counted_in_memory_that_they_share(kernels: Kernels) -> None:
    shared = mmap.mmap(-1, 8 * 30)
    make(kernels, memoryview(shared).cast("d")).count(int, "ok", 1.5)
    assert memoryview(shared).cast("d").tolist()[10:15] == [0.0, 0.0, 1.0, 0.0, 1.5]


@pytest.mark.parametrize(("kind", "how"), [(-1, 0), (10, 0), (0, -1), (0, 6), (0, 1 << 62)])
def test_a_row_whose_cells_are_not_there_is_refused_and_nothing_counted(
    kernels: Kernels, kind: int, how: int
) -> None:
    cells = array("d", bytes(80))
    tally = kernels.Tally(cells, array("d", BOUNDS), lambda _: kind, lambda _: how)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^row$"):
            tally.count(int, "ok", 1.0)
    assert not any(cells)


def test_what_looks_for_a_row_may_fail_and_be_asked_again(kernels: Kernels) -> None:
    answers: list[Any] = [OSError("full"), 0]

    def find(_what: object) -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    cells = array("d", bytes(80))
    tally = kernels.Tally(cells, array("d", BOUNDS), find, rows(1, _ROW))
    with pytest.raises(OSError, match="full"):
        tally.count(int, "ok", 1.0)
    tally.count(int, "ok", 1.0)
    assert cells[0] == 1.0


_COUNTED = st.lists(
    st.tuples(
        st.sampled_from([int, str, bytes, 1, "x", None, ["unhashable"]]),
        st.sampled_from(["ok", "bad", ""]),
        st.sampled_from([0.0, -1.0, *BOUNDS, inf, -inf, nan]) | st.floats(),
    ),
    max_size=30,
)


@pytest.mark.compiled
@given(_COUNTED, st.lists(st.floats(allow_nan=False), max_size=6).map(sorted), st.integers(0, 40))
def test_both_implementations_count_alike(
    counted: list[tuple[Any, str, float]], bounds: list[float], size: int
) -> None:
    """Also with cells that are too few, and bounds that are none."""
    seen = []
    for name in ("pure", "compiled"):
        cells = array("d", bytes(8 * size))
        tally = load_kernels(name).Tally(
            cells, array("d", bounds), rows(0, 1), rows(8, len(bounds) + 2)
        )
        told = [outcome(tally.count, *one) for one in counted]
        seen.append((told, cells.tobytes()))
    assert seen[0] == seen[1]
