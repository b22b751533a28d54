"""One run of the comparison: each row in each round, started, warmed up, measured, ended."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bench.load.callbacks import CallbackSet, Check, check_of
from bench.load.cores import Cores, Usage, UsageMeter, choose_cores, pinned
from bench.load.generator import Generator, Load, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.scratch import scratch
from bench.load.servers import Row, Server, check_installed

WARM_UP_SECONDS: Final = 1

_EXAMPLES: Final = 3
_LEEWAY: Final = 600
_SECONDS_AROUND: Final = 30
"""What one measurement takes beyond its seconds, at the very most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    rows: list[Row]
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
        return _LEEWAY + self.rounds * len(self.rows) * (self.seconds + _SECONDS_AROUND)


@dataclass(slots=True)
class Findings:
    """What the check of the replies found; the examples are the first few faults, spelled out."""

    checked: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, load: Load, check: Check) -> None:
        """Check every reply of a run, and take its generator's errors over."""
        for answer in load.answers:
            self.checked += 1
            if answer.status != 200:
                self._fault("non-200", f"{answer.status}: {answer.body[:80]!r}")
            elif fault := check(answer.body, answer.callback):
                self._fault(fault.kind, fault.why)
        counts = {
            "socket": load.socket_errors,
            "timeout": load.timeouts,
            "lost": load.lost,
            "silence": int(load.requests == 0),
        }
        self.errors.update({kind: count for kind, count in counts.items() if count})

    def _fault(self, kind: str, why: str) -> None:
        self.errors[kind] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{kind}: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row in one round."""

    row: str
    round: int
    requests: int
    seconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu: float | None
    generator_cpu: float | None
    server_core_others: float | None
    """What something else took of the server's core, in percent; None where it is not known."""
    generator_core_others: float | None
    checked: int
    errors: dict[str, int]
    examples: list[str]


def run(plan: Plan, progress: Callable[[Measurement], None]) -> tuple[list[Measurement], Cores]:
    """Measure each row once a round; tell of each measurement as it is made."""
    check_installed(plan.rows)
    cores = choose_cores()
    measured = []
    with scratch() as directory, pinned(cores.generator):
        callbacks = CallbackSet(directory / "callbacks", plan.callbacks, int(time.time()))
        for number in range(1, plan.rounds + 1):
            for row in plan.rows:
                with Server(row, cores.server, plan.timestamp_window) as server:
                    measurement = _measure(plan, row, number, server, callbacks, cores)
                measured.append(measurement)
                progress(measurement)
    return measured, cores


def _measure(
    plan: Plan,
    row: Row,
    number: int,
    server: Server,
    callbacks: CallbackSet,
    cores: Cores,
) -> Measurement:
    check = check_of(row.answers, callbacks)
    findings = Findings()

    def load(generator: Generator, start: int, seconds: int) -> tuple[Load, Usage]:
        meter = UsageMeter(server.cpu_clock(), cores, server.store_clock())
        seen = generator.run(
            server.port,
            callbacks,
            start=start,
            seconds=seconds,
            connections=plan.connections,
            meter=meter,
        )
        findings.add(seen, check)
        return seen, meter.usage

    # The warm-up is Python's, for that one knows which request a reply answers: it would see
    # replies that go to the wrong user.
    warm_up, _ = load(PythonGenerator(), 0, WARM_UP_SECONDS)
    timed, usage = load(plan.generator, warm_up.sent, plan.seconds)
    if row.dedupes and warm_up.sent + timed.sent > plan.callbacks:
        raise LoadError(f"{row.name} had all callbacks already; give more: --callbacks")
    return Measurement(
        row=row.name,
        round=number,
        requests=timed.requests,
        seconds=timed.seconds,
        requests_per_second=timed.requests / timed.seconds,
        p50_ms=timed.p50_ms,
        p99_ms=timed.p99_ms,
        server_cpu=usage.server,
        generator_cpu=usage.generator,
        server_core_others=usage.server_core_others,
        generator_core_others=usage.generator_core_others,
        checked=findings.checked,
        errors=dict(findings.errors),
        examples=findings.examples,
    )
