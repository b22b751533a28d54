"""Where the numbers of a process are: cells that it alone adds to, and that others may read.

A callback adds to three or four of them. So each is a float in a flat buffer, and to add is one
step without a lock, a small part of what the metrics of OpenTelemetry's SDK take, or those of
Prometheus' client with several processes. bench/README.md has what all of it costs a callback.

Processes that answer for each other, the workers of ``gateway serve``, keep their cells in files of
one folder. A file belongs to who holds its lock; one that nobody holds, because its worker died, is
taken over with all that it counted by the next worker that starts. So a counter never falls.
"""

import fcntl
import mmap
import os
from array import array
from collections.abc import Callable, Iterator, MutableSequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple, cast

import msgspec

SLOTS: Final = 16_384
"""Cells of a process: some 1,000 histograms, or as many counters as there are cells."""

_SPARE: Final = 64
"""Cells at the end, for what there is no room for: written, and never read."""

_CELL: Final = 8

Labels = tuple[str, ...]
Buffer = MutableSequence[float]


class Series(NamedTuple):
    """What a row of cells holds: an instrument's values for some labels."""

    first: int
    """Its first cell."""
    cells: int
    name: str
    labels: Labels
    is_gauge: bool
    """Whether they are as they are now, and mean nothing once their process is gone."""


class Values(NamedTuple):
    """A series as it was read."""

    name: str
    labels: Labels
    values: tuple[float, ...]


_decode = msgspec.json.Decoder(Series).decode


class Cells:
    """The cells of one process."""

    def __init__(
        self,
        buffer: Buffer,
        series: list[Series],
        write: Callable[[bytes], object],
    ) -> None:
        """``write`` takes a line that tells what a row of cells holds."""
        self.buffer = buffer
        self._series = series
        self._write = write
        self._known = {(one.name, one.labels): one.first for one in series}
        self._next = max((one.first + one.cells for one in series), default=0)
        self._lock = Lock()

    @classmethod
    def alone(cls) -> "Cells":
        """Return cells that no other process sees."""
        return cls(array("d", bytes(SLOTS * _CELL)), [], lambda _line: None)

    def row(self, name: str, labels: Labels, count: int, *, is_gauge: bool = False) -> int:
        """Return the first of the cells of a series; those that it has, or new ones.

        Where there is no room for it, cells that nobody reads.
        """
        with self._lock:
            known = self._known.get((name, labels))
            if known is not None:
                return known
            first = self._next
            if first + count > SLOTS - _SPARE:
                return SLOTS - _SPARE
            self._next = first + count
            series = Series(first, count, name, labels, is_gauge)
            # Before anything is counted there: who reads the cells reads this first.
            self._write(msgspec.json.encode(series) + b"\n")
            self._series.append(series)
            self._known[name, labels] = first
            return first

    def read(self) -> list[Values]:
        """Return all that is counted here."""
        return [_values(one, self.buffer) for one in list(self._series)]


class SharedCells:
    """The cells of all processes of a gateway, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Take the cells of a worker that is gone, or new ones; raise OSError."""
        self._folder = folder
        self._file, self._lines = _take(folder)
        os.ftruncate(self._file, SLOTS * _CELL)
        shared = mmap.mmap(self._file, SLOTS * _CELL)
        text = self._lines
        series = _series(text)
        self.own = Cells(_floats(shared), series, lambda line: _append(text, line))
        for one in series:
            if one.is_gauge:
                self.own.buffer[one.first] = 0.0

    def read(self) -> list[Values]:
        """Return all that is counted in the folder."""
        found: list[Values] = []
        for path in sorted(self._folder.glob("*.cells")):
            found += _read(path)
        return found


def _take(folder: Path) -> tuple[int, Path]:
    """Return a file of the folder that is this process's from now on, and its list of series."""
    number = 0
    while True:
        path = folder / f"{number}.cells"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            number += 1
            continue
        return file, path.with_suffix(".series")


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)


def _series(path: Path) -> list[Series]:
    """Return what a file's cells hold; a last line that is not whole yet is none."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [_decode(line) for line in lines[:-1]]


def _read(path: Path) -> Iterator[Values]:
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            is_live = False
        except BlockingIOError:
            is_live = True
        # The series first: what is there then has its cells.
        series = _series(path.with_suffix(".series"))
        held = _floats(file.read())
    for one in series:
        if is_live or not one.is_gauge:
            yield _values(one, held)


def _floats(data: Any) -> Buffer:
    return cast("Buffer", memoryview(data).cast("d"))


def _values(series: Series, buffer: Buffer) -> Values:
    values = tuple(buffer[series.first : series.first + series.cells])
    return Values(series.name, series.labels, values)
