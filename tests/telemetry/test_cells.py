"""Numbers that processes share: none is lost where one dies, and none is counted twice."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import cells, instruments
from gateway.telemetry.cells import Cells, SharedCells, Values
from gateway.telemetry.exposition import exposition
from gateway.telemetry.metrics import Family, Metrics, gather, joined

ROOT: Final = Path(__file__).parents[2]

COUNT: Final = """
import sys
from pathlib import Path
from gateway.telemetry.cells import SharedCells
from gateway.telemetry.metrics import Metrics
metrics = Metrics(SharedCells(Path(sys.argv[1])).own)
metrics.messages.add(("main", "Text"), 3.0)
metrics.callbacks.observe(("main", "reply"), 0.003)
metrics.spill_age.set((), 7.0)
print("counted", flush=True)
sys.stdin.read()
"""


def of(found: Sequence[Family], instrument: instruments.Instrument) -> dict[tuple[str, ...], float]:
    """Return an instrument's values by label."""
    return {
        point.labels: point.value
        for family in found
        for point in family.points
        if family.instrument is instrument
    }


class Other:
    """A process that counts three messages and waits."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"counted\n"

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.communicate()


def test_what_several_processes_count_is_one_sum_and_gauges_are_the_greatest(
    tmp_path: Path,
) -> None:
    own = SharedCells(tmp_path)
    metrics = Metrics(own.own)
    metrics.messages.add(("main", "Text"))
    metrics.messages.add(("main", "Event"))
    metrics.callbacks.observe(("main", "reply"), 0.0004)
    metrics.spill_age.set((), 5.0)
    other = Other(tmp_path)
    try:
        found = gather(own.read())
    finally:
        other.kill()
    assert of(found, instruments.MESSAGES) == {("main", "Text"): 4.0, ("main", "Event"): 1.0}
    assert of(found, instruments.SPILL_AGE) == {(): 7.0}
    (callbacks,) = (one for one in found if one.instrument is instruments.CALLBACKS)
    assert callbacks.points[0].buckets[:4] == (1, 0, 0, 1)
    assert callbacks.points[0].value == pytest.approx(0.0034)


def test_what_a_killed_process_counted_is_taken_over_and_how_it_was_is_not(
    tmp_path: Path,
) -> None:
    own = SharedCells(tmp_path)
    Other(tmp_path).kill()
    assert of(gather(own.read()), instruments.MESSAGES) == {("main", "Text"): 3.0}
    # It has no spill any more.
    assert of(gather(own.read()), instruments.SPILL_AGE) == {}
    heir = Other(tmp_path)
    try:
        assert of(gather(own.read()), instruments.MESSAGES) == {("main", "Text"): 6.0}
        assert len([*tmp_path.glob("*.cells")]) == 2
    finally:
        heir.kill()


def test_more_labels_than_there_is_room_for_harm_nothing(tmp_path: Path) -> None:
    shared = SharedCells(tmp_path)
    metrics = Metrics(shared.own)
    for number in range(cells.SLOTS + 10):
        metrics.messages.add(("main", str(number)))
    metrics.callbacks.observe(("main", "reply"), 1.0)
    found = of(gather(shared.read()), instruments.MESSAGES)
    assert len(found) == cells.SLOTS - 64
    assert set(found.values()) == {1.0}


def test_a_series_that_is_being_written_is_none_yet(tmp_path: Path) -> None:
    shared = SharedCells(tmp_path)
    Metrics(shared.own).messages.add(("main", "Text"))
    with (tmp_path / "0.series").open("ab") as file:
        file.write(b'[9,1,"gateway.mess')
    assert of(gather(shared.read()), instruments.MESSAGES) == {("main", "Text"): 1.0}


def test_what_another_release_counted_is_passed_over() -> None:
    assert gather([Values("gateway.of_old", ("main",), (1.0,))]) == []


@given(st.lists(st.floats(0, 100), max_size=50))
def test_a_histogram_counts_each_value_once_where_it_belongs(values: list[float]) -> None:
    metrics = Metrics(Cells.alone())
    for value in values:
        metrics.callbacks.observe(("main", "reply"), value)
    bounds = instruments.CALLBACKS.bounds
    found = gather(metrics.cells.read())
    if not values:
        assert found == []
        return
    (point,) = found[0].points
    for at, bound in enumerate(bounds):
        assert sum(point.buckets[: at + 1]) == sum(value <= bound for value in values)
    assert sum(point.buckets) == len(values)


def test_prometheus_reads_it_whatever_stands_in_a_label() -> None:
    metrics = Metrics(Cells.alone())
    metrics.messages.add(("main", 'a "quoted"\nline \\'))
    metrics.loop_lag.observe((), 9.0)
    text = exposition(joined(gather(metrics.cells.read()))).decode()
    assert 'gateway_messages_total{account="main",type="a \\"quoted\\"\\nline \\\\"} 1.0' in text
    assert 'gateway_loop_lag_seconds_bucket{le="5.0"} 0.0' in text
    assert 'gateway_loop_lag_seconds_bucket{le="+Inf"} 1.0' in text
    assert "gateway_loop_lag_seconds_sum 9.0" in text


def test_no_two_instruments_have_one_name_and_each_counts_what_its_unit_says() -> None:
    names = [one.prometheus_name for one in instruments.ALL]
    assert len(names) == len({*names}) > 30
    for one in instruments.ALL:
        assert one.help.endswith("."), one.name
        assert one.unit in ("s", "By") or one.unit.startswith("{"), one.name
        assert bool(one.bounds) is (one.kind is instruments.Kind.HISTOGRAM)
