"""Which core runs what, and how busy it was."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_PIN: Final = hasattr(os, "sched_setaffinity")

SATURATED: Final = 95.0
"""Percent of its core from which on a generator counts as the bottleneck."""


DISTURBED: Final = 10.0
"""Percent of a core from which on what else ran there counts as a disturbance."""


UNSTEADY: Final = 1.25
"""How much slower a core may be at times, before nothing near its limit can be judged on it."""


class Cores(NamedTuple):
    """The core of the servers and that of the load generator; None where nothing is pinned."""

    server: int | None
    generator: int | None

    def __str__(self) -> str:
        if self.server is None:
            return "not pinned: this system cannot"
        if self.server == self.generator:
            return f"server and generator share core {self.server}: there is no other"
        return f"server on core {self.server}, generator on core {self.generator}"


NOT_PINNED: Final = Cores(None, None)


def choose_cores() -> Cores:
    """Give servers the last core this process may use, and the generator the first."""
    if not _PIN:
        return NOT_PINNED
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[-1], usable[0])


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Run the block, and what is started in it, on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def slowdown_of(core: int | None) -> float:
    """Return how many times longer the same work takes on a core when it is slow than when fast.

    On a host that is shared, others slow a core down without taking any of its time: no share of
    it shows that. Some 0.4 seconds of the same loop, 4 ms at a time; nothing else is to run there.
    """
    with pinned(core):
        slices = sorted(_loop_seconds() for _ in range(100))
    return round(slices[-5] / slices[0], 2)


def _loop_seconds() -> float:
    started, total = perf_counter(), 0
    for number in range(100_000):
        total += number
    return perf_counter() - started


def processes_of_group(group: int) -> list[int]:
    """Return the ids of a process group's members; without /proc, the leader's alone."""
    if not _PROC.is_dir():
        return [group]
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            state, in_group = fields[0], int(fields[2])
            if in_group == group and state != "Z":
                found.append(int(entry.name))
    return found


def cpu_seconds(processes: list[int]) -> float | None:
    """Return the CPU time these processes took so far, in seconds; None without /proc."""
    if not _PROC.is_dir():
        return None
    stats = [fields for process in processes if (fields := _stat(process))]
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on: a name may hold anything."""
    try:
        text = (_PROC / str(process) / "stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


CpuClock = Callable[[], float | None]
"""Tells the CPU time something has taken so far, in seconds."""


def busy_clock(core: int | None) -> CpuClock:
    """Make a clock of the seconds a core was busy with anything at all, the host's steal too."""

    def clock() -> float | None:
        if core is None or not _PROC.is_dir():
            return None
        for line in (_PROC / "stat").read_text().splitlines():
            name, *ticks = line.split()
            if name == f"cpu{core}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
                total = user + nice + system + irq + softirq + steal
                return total / os.sysconf("SC_CLK_TCK")
        return None

    return clock


class Usage(NamedTuple):
    """Shares of one core during a run, in percent; None where they cannot be read."""

    server: float | None = None
    generator: float | None = None
    server_core_others: float | None = None
    """What else ran on the server's core."""
    generator_core_others: float | None = None


class UsageMeter:
    """Measures what server and generator take of the CPU between start and stop."""

    def __init__(
        self, server: CpuClock, cores: Cores = NOT_PINNED, beside: CpuClock = lambda: 0.0
    ) -> None:
        """``beside`` is what the server needs on the generator's core: it counts as part of it."""
        self._server = server
        self._cores = cores
        self._beside = beside
        self._clocks: tuple[CpuClock, ...] = ()
        self._before: list[float | None] = []
        self._started = 0.0
        self.usage = Usage()

    def start(self, generator: CpuClock) -> None:
        """Begin, once the generator is about to send."""
        busy = [busy_clock(core) for core in self._cores]
        self._clocks = (self._server, _sum(generator, self._beside), *busy)
        self._before = [clock() for clock in self._clocks]
        self._started = perf_counter()

    def stop(self) -> None:
        """End, before anything else is done with the replies."""
        after = [clock() for clock in self._clocks]
        seconds = perf_counter() - self._started
        server, generator, on_server, on_generator = (
            None if end is None or begin is None else round(100 * (end - begin) / seconds, 1)
            for begin, end in zip(self._before, after, strict=True)
        )
        if self._cores.server == self._cores.generator:
            on_server = on_generator = None
        self.usage = Usage(
            server, generator, _others(on_server, server), _others(on_generator, generator)
        )


def _sum(*clocks: CpuClock) -> CpuClock:
    def clock() -> float | None:
        seconds = [told for one in clocks if (told := one()) is not None]
        return sum(seconds) if len(seconds) == len(clocks) else None

    return clock


def _others(busy: float | None, own: float | None) -> float | None:
    return None if busy is None or own is None else round(max(0.0, busy - own), 1)
