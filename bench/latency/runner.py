"""One run: each row in each round, its throughput found, then a share of that sent steadily."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.latency.generator import OpenLoad
from bench.latency.generator import run as run_open
from bench.load.callbacks import CallbackSet, check_of
from bench.load.cores import Cores, Usage, UsageMeter, choose_cores, pinned, slowdown_of
from bench.load.generator import Generator, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.runner import Findings
from bench.load.scratch import scratch
from bench.load.servers import Row, Server, check_installed

WARM_UP_SECONDS: Final = 1
PROBE_SECONDS: Final = 3
PROBE_CONNECTIONS: Final = 64
"""What the throughput is found with, as in `bench.load`."""

_LEEWAY: Final = 600
_SECONDS_AROUND: Final = 40
"""What one measurement takes beyond its seconds, at the very most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    rows: list[Row]
    generator: Generator
    """What finds the throughput."""
    share: int = 70
    """Of the throughput, in percent."""
    seconds: int = 10
    rounds: int = 5
    connections: int = 512
    """Of the open loop, at most."""
    callbacks: int = 300_000

    @property
    def timestamp_window(self) -> int:
        """Seconds within which every callback of the run is sent, signed as they are at its start.

        WeChat's own are fresh; only the benchmark's lie ready for the time it takes.
        """
        return _LEEWAY + self.rounds * len(self.rows) * (self.seconds + _SECONDS_AROUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One row in one round."""

    row: str
    round: int
    throughput: float
    """Requests per second that the closed loop came to."""
    rate: float
    """Callbacks per second that were due."""
    sent: int
    """Those of the warm-up too."""
    requests: int
    seconds: float
    latency_ms: dict[str, float]
    lag_ms: dict[str, float]
    waited: int
    connections: int
    generator_cpu: float
    """The generator's own, in percent of its core, without a store that runs there too."""
    usage: Usage
    core_slowdown: float
    """How many times longer the server's core took at its slowest, just behind."""
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
    sent = 0

    def meter() -> UsageMeter:
        return UsageMeter(server.cpu_clock(), cores, server.store_clock())

    throughput = 0.0
    # As in bench.load: warmed up from Python, then measured by whatever is fastest.
    for generator, seconds in (
        (PythonGenerator(), WARM_UP_SECONDS),
        (plan.generator, PROBE_SECONDS),
    ):
        load = generator.run(
            server.port,
            callbacks,
            start=sent,
            seconds=seconds,
            connections=PROBE_CONNECTIONS,
            meter=meter(),
        )
        findings.add(load, check)
        sent += load.sent
        throughput = load.requests / load.seconds
    rate = max(1.0, throughput * plan.share / 100)
    if row.dedupes and sent + rate * (WARM_UP_SECONDS + plan.seconds) > plan.callbacks:
        raise LoadError(f"{row.name} would have all callbacks already; give more: --callbacks")
    used = meter()
    steady: OpenLoad = run_open(
        server.port,
        callbacks,
        start=sent,
        rate=rate,
        seconds=plan.seconds,
        connections=plan.connections,
        meter=used,
        warm_up=WARM_UP_SECONDS,
    )
    findings.add(steady.load, check)
    return Measurement(
        row=row.name,
        round=number,
        throughput=throughput,
        rate=rate,
        sent=steady.load.sent,
        requests=steady.load.requests,
        seconds=steady.load.seconds,
        latency_ms=steady.latency_ms,
        lag_ms=steady.lag_ms,
        waited=steady.waited,
        connections=steady.connections,
        generator_cpu=round(steady.cpu, 1),
        usage=used.usage,
        core_slowdown=slowdown_of(cores.server),
        checked=findings.checked,
        errors=dict(findings.errors),
        examples=findings.examples,
    )
