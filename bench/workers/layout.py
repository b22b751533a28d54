"""Which cores workers and generator run on, and so what a run on this machine can show."""

import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.load.cores import NOT_PINNED, Cores
from bench.load.generator import LoadError


class Layout(NamedTuple):
    """The cores of one measurement."""

    workers: tuple[int, ...]
    """A core for each: a worker that has two for its two threads takes more of a processor."""
    generator: frozenset[int]
    """A Redis's, too."""

    @property
    def apart(self) -> bool:
        """Whether the generator takes nothing from the workers."""
        return self.generator.isdisjoint(self.workers)

    @property
    def cores(self) -> Cores:
        """What a meter of the load looks at for disturbances: it knows of two cores."""
        if self.apart and len(self.workers) == len(self.generator) == 1:
            return Cores(*self.workers, *self.generator)
        return NOT_PINNED

    def __str__(self) -> str:
        workers = f"{len(self.workers)} worker{'s' * (len(self.workers) > 1)}"
        if self.apart:
            return f"{workers} on {_named(self.workers)}, the generator on {_named(self.generator)}"
        return f"{workers} and the generator on {_named(self.workers)}"


def layouts_for(usable: AbstractSet[int]) -> list[Layout]:
    """Return what is measured with these cores, in turns; the last one has two workers.

    Where the generator can have a core beside two workers, one worker and two are compared so. Else
    it shares theirs, and two workers are compared with one that shares its core in the same way;
    one whose core is its own is measured too, for what a request costs it.
    """
    ordered = sorted(usable)
    first, last = frozenset(ordered[:1]), ordered[-1]
    if len(ordered) > 2:
        return [Layout((last,), first), Layout(tuple(ordered[-2:]), first)]
    if len(ordered) == 2:
        return [
            Layout((last,), first),
            Layout((last,), frozenset((last,))),
            Layout(tuple(ordered), frozenset(ordered)),
        ]
    raise LoadError("two workers need two cores, and there is one")


def usable_cores() -> frozenset[int]:
    """Return the cores this process may use; raise LoadError where it cannot tell."""
    if not hasattr(os, "sched_getaffinity"):
        raise LoadError("workers are given a core each, which this system cannot: take Linux")
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def kept_to(cores: AbstractSet[int]) -> Iterator[None]:
    """Run the block, and what is started in it, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(processes: Sequence[int], cores: Sequence[int]) -> None:
    """Put each process, with all threads it has and those they start, on a core of its own."""
    for process, core in zip(processes, cores, strict=True):
        for thread in (Path("/proc") / str(process) / "task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {core})


def _named(cores: Sequence[int] | AbstractSet[int]) -> str:
    listed = ", ".join(str(core) for core in sorted(cores))
    return f"core{'s' * (len(cores) > 1)} {listed}"
