"""A served process under load, sampled: what each group of functions takes of a request."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load.callbacks import CallbackSet, check_of
from bench.load.cores import Cores, UsageMeter, choose_cores, pinned, processes_of_group
from bench.load.generator import Generator, Load, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.runner import Findings
from bench.load.scratch import scratch
from bench.load.servers import Row, Server, check_installed
from bench.profile import perf
from bench.profile.groups import group_of, name_of
from bench.profile.samples import Stack

WARM_UP_SECONDS: Final = 1

_LEEWAY: Final = 600
_SECONDS_AROUND: Final = 90
"""What one round takes beyond its seconds, at the very most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    row: Row
    generator: Generator
    seconds: int = 4
    rounds: int = 3
    connections: int = 64
    callbacks: int = 300_000

    @property
    def timestamp_window(self) -> int:
        """Seconds within which every callback of the run is sent, signed as they are at its start.

        WeChat's own are fresh; only the benchmark's lie ready for the time it takes.
        """
        return _LEEWAY + self.rounds * (2 * self.seconds + _SECONDS_AROUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: loaded without perf, then with it."""

    round: int
    requests_per_second: float
    server_cpu: float | None
    """In percent of the server's core."""
    server_core_others: float | None
    """What something else took of that core meanwhile, in percent; None where it is not known."""
    sampled_requests_per_second: float
    """While perf sampled, which slows the server down and leaves the shares as they are."""
    samples: dict[str, dict[str, int]]
    """How many, by group and function."""
    checked: int
    errors: dict[str, int]
    examples: list[str]

    @property
    def us(self) -> float:
        """Microseconds from one request to the next."""
        return 1e6 / self.requests_per_second

    @property
    def waiting_us(self) -> float:
        """Those of them in which the server took no processor."""
        busy = 100.0 if self.server_cpu is None else min(100.0, self.server_cpu)
        return self.us * (1 - busy / 100)

    def us_of(self, group: str) -> float:
        """Return what a group takes of a request, in microseconds."""
        return self.us_each * sum(self.samples.get(group, {}).values())

    @property
    def us_each(self) -> float:
        """What one sample stands for, of each request."""
        total = sum(sum(functions.values()) for functions in self.samples.values())
        return (self.us - self.waiting_us) / total


def run(plan: Plan, progress: Callable[[Round], None]) -> tuple[list[Round], Cores]:
    """Sample the row once a round; tell of each as it is made."""
    check_installed([plan.row])
    perf.check_installed()
    cores = choose_cores()
    rounds = []
    with scratch() as directory, pinned(cores.generator):
        callbacks = CallbackSet(directory / "callbacks", plan.callbacks, int(time.time()))
        for number in range(1, plan.rounds + 1):
            with Server(plan.row, cores.server, plan.timestamp_window) as server:
                one = _measure(plan, number, server, callbacks, cores, directory / "perf.data")
            rounds.append(one)
            progress(one)
    return rounds, cores


def _measure(
    plan: Plan, number: int, server: Server, callbacks: CallbackSet, cores: Cores, file: Path
) -> Round:
    check, findings = check_of(plan.row.answers, callbacks), Findings()
    sent = 0

    def load(generator: Generator, seconds: int, meter: UsageMeter) -> Load:
        nonlocal sent
        seen = generator.run(
            server.port,
            callbacks,
            start=sent,
            seconds=seconds,
            connections=plan.connections,
            meter=meter,
        )
        sent += seen.sent
        return seen

    def meter() -> UsageMeter:
        return UsageMeter(server.cpu_clock(), cores, server.store_clock())

    findings.add(load(PythonGenerator(), WARM_UP_SECONDS, meter()), check)
    used = meter()
    plain = load(plan.generator, plan.seconds, used)
    findings.add(plain, check)
    file.unlink(missing_ok=True)
    with perf.sampling(processes_of_group(server.pid), file):
        sampled = load(plan.generator, plan.seconds, meter())
    findings.add(sampled, check)
    if plan.row.dedupes and sent > plan.callbacks:
        raise LoadError(f"{plan.row.name} had all callbacks already; give more: --callbacks")
    return Round(
        round=number,
        requests_per_second=plain.requests / plain.seconds,
        server_cpu=used.usage.server,
        server_core_others=used.usage.server_core_others,
        sampled_requests_per_second=sampled.requests / sampled.seconds,
        samples=attribute(perf.read(file)),
        checked=findings.checked,
        errors=dict(findings.errors),
        examples=findings.examples,
    )


def attribute(stacks: list[Stack]) -> dict[str, dict[str, int]]:
    """Return how many samples belong to each group, by the function that ran; the most first."""
    counted: dict[str, Counter[str]] = {}
    for stack in stacks:
        counted.setdefault(group_of(stack), Counter())[name_of(stack[0])] += 1
    ordered = sorted(counted.items(), key=lambda one: one[1].total(), reverse=True)
    return {group: dict(functions.most_common()) for group, functions in ordered}
