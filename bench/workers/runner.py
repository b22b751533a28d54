"""One run: each row in each round in each layout of workers and generator, in turns."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final

from bench.load.callbacks import CallbackSet, echo_check
from bench.load.cores import UsageMeter, cpu_seconds, processes_of_group
from bench.load.generator import Generator, Load, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.runner import Findings
from bench.load.scratch import scratch
from bench.load.servers import ROWS, Row, Server, check_installed
from bench.served import gateway_row
from bench.workers.layout import Layout, kept_to, layouts_for, move, usable_cores

WARM_UP_SECONDS: Final = 1

_LAYOUTS: Final = 3
"""At most."""

_LEEWAY: Final = 600
_SECONDS_AROUND: Final = 30
"""What one measurement takes beyond its seconds, at the very most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    rows: list[str]
    generator: Generator
    seconds: int = 4
    rounds: int = 5
    connections: int = 64
    callbacks: int = 200_000

    @property
    def timestamp_window(self) -> int:
        """Seconds within which every callback of the run is sent, signed as they are at its start.

        WeChat's own are fresh; only the benchmark's lie ready for the time it takes.
        """
        measurements = self.rounds * len(self.rows) * _LAYOUTS
        return _LEEWAY + measurements * (self.seconds + _SECONDS_AROUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row in one layout in one round."""

    row: str
    workers: int
    round: int
    apart: bool
    """Whether the generator ran on another core than the workers."""
    requests: int
    seconds: float
    requests_per_second: float
    cpu_seconds: float
    """What all processes of the server took."""
    worker_cpu_seconds: list[float]
    """What each worker took, the busiest first."""
    generator_cpu: float | None
    """In percent of a core, a Redis's share among it."""
    server_core_others: float | None
    """What something else took of the one worker's core, in percent; None: not known."""
    generator_core_others: float | None
    checked: int
    errors: dict[str, int]
    examples: list[str]

    @property
    def requests_per_cpu_second(self) -> float:
        """Requests that a second of the server's processor time answers."""
        # The system counts in ticks: of a server that was given less, nothing is known.
        return self.requests / max(self.cpu_seconds, 1 / os.sysconf("SC_CLK_TCK"))

    @property
    def layout(self) -> tuple[int, bool]:
        """How many workers there were, and whether the generator ran on another core."""
        return self.workers, self.apart

    @property
    def least_share(self) -> float:
        """The share of the worker that did least of all workers' work: with two, half at most."""
        return min(self.worker_cpu_seconds) / sum(self.worker_cpu_seconds)


class ProcessClock:
    """The processor time of each process of a server; called where a meter starts and stops."""

    def __init__(self, group: int) -> None:
        self._processes = processes_of_group(group)
        self._told: list[dict[int, float]] = []

    def __call__(self) -> float:
        """Return what all of them took so far, in seconds."""
        self._told.append({one: cpu_seconds([one]) or 0.0 for one in self._processes})
        return sum(self._told[-1].values())

    def taken(self) -> dict[int, float]:
        """Return what each took between the first call and the last, the busiest first."""
        first, last = self._told[0], self._told[-1]
        taken = {one: last[one] - first[one] for one in self._processes}
        return dict(sorted(taken.items(), key=lambda one: one[1], reverse=True))


def run(
    plan: Plan, progress: Callable[[Measurement], None]
) -> tuple[list[Measurement], list[Layout]]:
    """Measure each row in each layout once a round; tell of each measurement as it is made."""
    check_installed([ROWS[name] for name in plan.rows])
    usable = usable_cores()
    layouts = layouts_for(usable)
    measured = []
    with scratch() as directory:
        callbacks = CallbackSet(directory / "callbacks", plan.callbacks, int(time.time()))
        for number, row, layout in product(range(1, plan.rounds + 1), plan.rows, layouts):
            # Servers see all cores, wherever they are put.
            served = gateway_row(row, workers=len(layout.workers), cores=usable)
            with kept_to(layout.generator):
                measurement = _measure(plan, served, number, callbacks, layout)
            measured.append(measurement)
            progress(measurement)
    return measured, layouts


def _measure(
    plan: Plan, row: Row, number: int, callbacks: CallbackSet, layout: Layout
) -> Measurement:
    workers = len(layout.workers)
    check, findings = echo_check(callbacks), Findings()
    with Server(row, None, plan.timestamp_window) as server:

        def load(generator: Generator, start: int, seconds: int, meter: UsageMeter) -> Load:
            seen = generator.run(
                server.port,
                callbacks,
                start=start,
                seconds=seconds,
                connections=plan.connections,
                meter=meter,
            )
            findings.add(seen, check)
            return seen

        warm = ProcessClock(server.pid)
        warm_up = load(PythonGenerator(), 0, WARM_UP_SECONDS, UsageMeter(warm))
        # Those that had something to do: the others start and watch them.
        move(list(warm.taken())[:workers], layout.workers)
        clock = ProcessClock(server.pid)
        meter = UsageMeter(clock, layout.cores, server.store_clock())
        timed = load(plan.generator, warm_up.sent, plan.seconds, meter)
    if warm_up.sent + timed.sent > plan.callbacks:
        raise LoadError(f"{row.name} had all callbacks already; give more: --callbacks")
    taken = clock.taken()
    return Measurement(
        row=row.name,
        workers=workers,
        round=number,
        apart=layout.apart,
        requests=timed.requests,
        seconds=timed.seconds,
        requests_per_second=timed.requests / timed.seconds,
        cpu_seconds=sum(taken.values()),
        worker_cpu_seconds=list(taken.values())[:workers],
        generator_cpu=meter.usage.generator,
        server_core_others=meter.usage.server_core_others,
        generator_core_others=meter.usage.generator_core_others,
        checked=findings.checked,
        errors=dict(findings.errors),
        examples=findings.examples,
    )
