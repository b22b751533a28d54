"""What garbage collections cost a process: counted in it, told in a file, read from there.

A collection stops everything in its process, callbacks among it.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER_VARIABLE: Final = "BENCH_GARBAGE_FOLDER"
"""Names the folder in which each process writes a file of its own, named by its id."""

_EACH: Final = 1.0
"""Seconds from one writing to the next; a file written with each collection would be measured."""

_GENERATIONS: Final = 3


class Garbage(NamedTuple):
    """A process's collections, those of its start left out."""

    longest_ms: float = 0.0
    total_ms: float = 0.0
    collections: tuple[int, ...] = (0,) * _GENERATIONS
    """How many, by generation."""
    collected: int = 0
    """Objects that were found to be garbage, in cycles."""

    @classmethod
    def read(cls, folder: Path, process: int) -> "Garbage | None":
        """Return what a process last told; None where it told nothing yet."""
        file = _file(folder, process)
        return cls.of(json.loads(file.read_text())) if file.exists() else None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Garbage":
        """Return what was written down as JSON."""
        return cls(**{**told, "collections": tuple(told["collections"])})


class Watch:
    """A callback of the collector's, in the process that is measured."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.perf_counter) -> None:
        """Tell of collections in a file of the folder."""
        self._folder = folder
        self._clock = clock
        self._began = 0.0
        self._written = clock()
        self.garbage = Garbage()

    def settled(self) -> None:
        """Forget what came before: the process has started, and serves from now on."""
        self.garbage = Garbage()
        self._write()

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """Take down a collection's start, or its end."""
        if phase == "start":
            self._began = self._clock()
            return
        now = self._clock()
        self._add(1e3 * (now - self._began), info["generation"], info["collected"])
        # The oldest generation's are the longest and few: none is to be missed.
        if info["generation"] == _GENERATIONS - 1 or now - self._written >= _EACH:
            self._written = now
            self._write()

    def _add(self, took_ms: float, generation: int, collected: int) -> None:
        was = self.garbage
        counts = list(was.collections)
        counts[generation] += 1
        self.garbage = Garbage(
            max(was.longest_ms, took_ms),
            was.total_ms + took_ms,
            tuple(counts),
            was.collected + collected,
        )

    def _write(self) -> None:
        # A forked worker's watch is its starter's, but its file is its own.
        file = _file(self._folder, os.getpid())
        # Never to be read half written.
        made = file.with_suffix(".new")
        made.write_text(json.dumps(self.garbage._asdict()))
        made.replace(file)


def _file(folder: Path, process: int) -> Path:
    return folder / f"{process}.json"
