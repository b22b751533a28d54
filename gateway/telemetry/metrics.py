"""The numbers of a process, as those who count see them."""

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from gateway.kernels import Tally
from gateway.telemetry import instruments
from gateway.telemetry.cells import Cells, Labels, Values
from gateway.telemetry.instruments import Instrument, Kind

OTHER: Final = "other"
"""The label of what has no name of its own."""


class Counter:
    """Counts, by labels."""

    __slots__ = ("_buffer", "_cells", "_name", "_rows")

    def __init__(self, instrument: Instrument, cells: Cells) -> None:
        self._name = instrument.name
        self._cells = cells
        self._buffer = cells.buffer
        self._rows: dict[Labels, int] = {}

    def row(self, labels: Labels) -> int:
        """Return the cell of these labels."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = self._cells.row(self._name, labels, 1)
        return row

    def add(self, labels: Labels, by: float = 1.0) -> None:
        """Count ``by`` more."""
        self._buffer[self.row(labels)] += by


class Histogram:
    """Counts values by how large they are, by labels."""

    __slots__ = ("_bounds", "_buffer", "_cells", "_name", "_rows", "_sum")

    def __init__(self, instrument: Instrument, cells: Cells) -> None:
        self._name = instrument.name
        self._bounds = instrument.bounds
        # A cell for each bound, one for what is larger, one for the sum.
        self._sum = len(self._bounds) + 1
        self._cells = cells
        self._buffer = cells.buffer
        self._rows: dict[Labels, int] = {}

    def row(self, labels: Labels) -> int:
        """Return the first cell of these labels."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = self._cells.row(self._name, labels, self._sum + 1)
        return row

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value; in the instrument's unit."""
        row, buffer = self.row(labels), self._buffer
        buffer[row + bisect_left(self._bounds, value)] += 1.0
        buffer[row + self._sum] += value


class Gauge:
    """Tells how something is now in this process, by labels; of several processes the most."""

    __slots__ = ("_cells", "_name")

    def __init__(self, instrument: Instrument, cells: Cells) -> None:
        self._name = instrument.name
        self._cells = cells

    def set(self, labels: Labels, value: float) -> None:
        """Tell that it is this much now."""
        self._cells.buffer[self._cells.row(self._name, labels, 1, is_gauge=True)] = value


class Timing:
    """Observes how long something took, with an outcome: ``ok``, or ``failed`` where it raised."""

    __slots__ = ("_began", "_histogram", "_what")

    def __init__(self, histogram: Histogram, what: str) -> None:
        self._histogram = histogram
        self._what = what

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        outcome = "ok" if error is None else "failed"
        self._histogram.observe((self._what, outcome), time.monotonic() - self._began)


class Metrics:
    """All that a process counts."""

    def __init__(self, cells: Cells | None = None) -> None:
        """Without ``cells`` nobody else sees it."""
        cells = cells or Cells.alone()
        self.cells = cells
        self.callbacks = Histogram(instruments.CALLBACKS, cells)
        self.refusals = Counter(instruments.REFUSALS, cells)
        self.messages = Counter(instruments.MESSAGES, cells)
        self.duplicates = Counter(instruments.DUPLICATES, cells)
        self.handler_failures = Counter(instruments.HANDLER_FAILURES, cells)
        self.late_replies = Counter(instruments.LATE_REPLIES, cells)
        self.store = Histogram(instruments.STORE, cells)
        self.entries = Histogram(instruments.ENTRIES, cells)
        self.lane_retries = Counter(instruments.LANE_RETRIES, cells)
        self.push_queued = Counter(instruments.PUSH_QUEUED, cells)
        self.push_attempts = Counter(instruments.PUSH_ATTEMPTS, cells)
        self.push_lateness = Histogram(instruments.PUSH_LATENESS, cells)
        self.receipts = Counter(instruments.RECEIPTS, cells)
        self.api_calls = Histogram(instruments.API_CALLS, cells)
        self.api_errors = Counter(instruments.API_ERRORS, cells)
        self.token_refreshes = Counter(instruments.TOKEN_REFRESHES, cells)
        self.sink_events = Counter(instruments.SINK_EVENTS, cells)
        self.sign_ins = Counter(instruments.SIGN_INS, cells)
        self.verifications = Counter(instruments.VERIFICATIONS, cells)
        self.spill_age = Gauge(instruments.SPILL_AGE, cells)
        self.spilled = Counter(instruments.SPILLED, cells)
        self.loop_lag = Histogram(instruments.LOOP_LAG, cells)
        self.spans = Counter(instruments.SPANS, cells)
        self.exports = Counter(instruments.EXPORTS, cells)
        self.gauge_failures = Counter(instruments.GAUGE_FAILURES, cells)

    def tally_of(self, account: str) -> Tally:
        """Return what counts an account's callbacks: the message's type, outcome, seconds."""
        return Tally(
            self.cells.buffer,
            array("d", instruments.CALLBACKS.bounds),
            lambda kind: self.messages.row((account, kind.__name__)),
            lambda outcome: self.callbacks.row((account, outcome)),
        )

    def store_call(self, operation: str) -> Timing:
        """Return what times a round trip to a store."""
        return Timing(self.store, operation)


class Point(NamedTuple):
    """An instrument's value for some labels."""

    labels: Labels
    value: float
    """A histogram's sum."""
    buckets: tuple[int, ...] = ()
    """A histogram's counts: one for each bound, and one for what is larger."""


class Family(NamedTuple):
    """An instrument with all its values."""

    instrument: Instrument
    points: Sequence[Point]


_BY_NAME: Final = {one.name: one for one in instruments.ALL}


def gather(values: Iterable[Values]) -> list[Family]:
    """Return what several processes counted, as one; gauges are the greatest of all."""
    found: dict[str, dict[Labels, tuple[float, ...]]] = {}
    for name, labels, counted in values:
        instrument = _BY_NAME.get(name)
        if instrument is None:
            # Of a release that had other instruments, before a restart.
            continue
        of_name = found.setdefault(name, {})
        before = of_name.get(labels)
        if before is None:
            of_name[labels] = counted
        else:
            join = max if instrument.kind is Kind.GAUGE else float.__add__
            of_name[labels] = tuple(map(join, before, counted))
    return [
        Family(_BY_NAME[name], [_point(labels, counted) for labels, counted in points.items()])
        for name, points in found.items()
    ]


def joined(families: Iterable[Family]) -> list[Family]:
    """Return the families with each instrument once, in the order in which documents list them."""
    points: dict[str, list[Point]] = {}
    for instrument, of_it in families:
        points.setdefault(instrument.name, []).extend(of_it)
    return [Family(one, points[one.name]) for one in instruments.ALL if one.name in points]


def _point(labels: Labels, counted: tuple[float, ...]) -> Point:
    if len(counted) == 1:
        return Point(labels, counted[0])
    return Point(labels, counted[-1], tuple(int(one) for one in counted[:-1]))
