"""One run: all rows' servers at once, each under load in its turn, again and again.

Turns are short, and a round has one of each, so that a slow moment of the machine meets them all.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from bench.load.callbacks import CallbackSet, Check, check_of
from bench.load.cores import Cores, UsageMeter, choose_cores, pinned
from bench.load.generator import HOST, Generator, LoadError
from bench.load.runner import Findings
from bench.load.scratch import scratch
from bench.load.servers import Row, Server, check_installed
from bench.telemetry.rows import TAIL, rows
from tests.services import free_port

_PAUSE: Final = 0.6
"""Seconds behind each turn, for spans that are exported behind it."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_WINDOW: Final = 7200
_SPANS: Final = re.compile(r'gateway_telemetry_spans_total\{outcome="(\w+)"\} ([0-9.e+]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    generator: Generator
    seconds: int
    rounds: int
    """After each start."""
    starts: int
    """Of all servers: where a process's memory lies makes it some percent faster or slower."""
    connections: int
    callbacks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One row in one round."""

    row: str
    round: int
    requests_per_second: float
    cpu_us: float | None
    """Of the server's processes for each request, in microseconds."""
    p99_ms: float
    others: float
    """What something else took of the server's core, in percent."""
    errors: dict[str, int]
    examples: list[str]


@dataclass(slots=True)
class Run:
    """What was measured."""

    rows: list[Row]
    cores: Cores
    turns: list[Turn] = field(default_factory=list)
    spans: dict[str, Counter[str]] = field(default_factory=dict)
    """Of each row, what became of its spans."""


@dataclass(slots=True)
class _Side:
    row: Row
    server: Server
    sent: int = 0


def run(plan: Plan, progress: Callable[[Turn], None]) -> Run:
    """Measure each row once a round; tell of each turn as it is made; raise LoadError."""
    cores = choose_cores()
    port = free_port()
    found = Run(rows(f"http://{HOST}:{port}"), cores)
    check_installed(found.rows)
    found.spans = {row.name: Counter() for row in found.rows}
    with scratch() as directory, pinned(cores.generator):
        callbacks = CallbackSet(directory / "callbacks", plan.callbacks, int(time.time()))
        with _beside("bench.telemetry.receiver", str(port)):
            for start in range(plan.starts):
                for turn in _turns(plan, found, callbacks, start * plan.rounds):
                    found.turns.append(turn)
                    progress(turn)
    return found


def _turns(plan: Plan, found: Run, callbacks: CallbackSet, before: int) -> Iterator[Turn]:
    """Start all servers, and yield the turns of some rounds; ``before`` is how many there were."""
    with ExitStack() as opened:
        sides = [_start(row, found.cores, opened) for row in found.rows]
        for number in range(plan.rounds + 1):
            # Each begins a round in its turn.
            for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                turn = _turn(plan, side, before + number, callbacks, found.cores)
                if number:  # The first round warms up.
                    yield turn
                time.sleep(_PAUSE)
        for side in sides:
            found.spans[side.row.name].update(_spans(side.server.port))


def _start(row: Row, cores: Cores, opened: ExitStack) -> _Side:
    server = opened.enter_context(Server(row, cores.server, _WINDOW))
    if row.name == TAIL:
        config = str(server.directory / "gateway.toml")
        looking = ("gateway", "tail", "--json", "--config", config)
        opened.enter_context(_beside(*looking, folder=server.directory))
    return _Side(row, server)


@contextmanager
def _beside(module: str, *arguments: str, folder: Path | None = None) -> Iterator[None]:
    """Run a module on this process's core, what it writes thrown away."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONPATH": str(_ROOT)},
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _turn(plan: Plan, side: _Side, number: int, callbacks: CallbackSet, cores: Cores) -> Turn:
    check: Check = check_of("echo", callbacks)
    clock = side.server.cpu_clock()
    meter = UsageMeter(clock, cores)
    before = clock()
    load = plan.generator.run(
        side.server.port,
        callbacks,
        start=side.sent,
        seconds=plan.seconds,
        connections=plan.connections,
        meter=meter,
    )
    after = clock()
    findings = Findings()
    findings.add(load, check)
    side.sent += load.sent
    if side.sent > plan.callbacks:
        raise LoadError(f"{side.row.name} had all callbacks already; give more: --callbacks")
    cpu = None if before is None or after is None else 1e6 * (after - before) / load.requests
    return Turn(
        row=side.row.name,
        round=number,
        requests_per_second=load.requests / load.seconds,
        cpu_us=cpu,
        p99_ms=load.p99_ms,
        others=meter.usage.server_core_others or 0.0,
        errors=dict(Counter(findings.errors)),
        examples=findings.examples,
    )


def _spans(port: int) -> dict[str, int]:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        told = connection.getresponse().read().decode()
    finally:
        connection.close()
    return {outcome: int(float(count)) for outcome, count in _SPANS.findall(told)}
