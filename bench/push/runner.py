"""One run: each side at each latency in each round, to a platform of its own each time."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

from bench.load.cores import Cores, busy_clock, choose_cores, pinned
from bench.load.generator import LoadError
from bench.push.order import Order
from bench.push.platform import SimulatedPlatform, simulated_platform
from bench.push.sides import Sender, Side

_POLL: Final = 0.02
"""Seconds between two looks at the ledger: each takes the platform a little."""

_STANDSTILL: Final = 15.0
"""Seconds without a message after which a side is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    sides: list[Side]
    latencies: tuple[float, ...] = (0.0, 0.05)
    """Seconds that the platform takes for each call."""
    rounds: int = 3
    sends: int = 30_000
    """Of each measurement; a slow side has a share of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One side at one latency in one round."""

    side: str
    latency: float
    round: int
    sends: int
    in_flight: int
    seconds: float
    """From the word to begin until the ledger had all, or no more came."""
    sender_cpu: float
    """Seconds of a processor that the sender took."""
    platform_cpu: float
    others: float | None
    """What something else took of the sender's core, in percent; None: not known."""
    missing: int
    """Messages that no user received."""
    duplicates: int
    """What users received twice."""
    errors: dict[str, int]
    """What the sender says that failed, by kind."""

    @property
    def sends_per_second(self) -> float:
        """Messages that arrived."""
        return (self.sends - self.missing) / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of a processor for each message that arrived."""
        return 1e6 * self.sender_cpu / max(1, self.sends - self.missing)

    @property
    def is_exact(self) -> bool:
        """Whether each message was received exactly once."""
        return not self.missing and not self.duplicates


def run(plan: Plan, progress: Callable[[Measurement], None]) -> tuple[list[Measurement], Cores]:
    """Measure everything; tell of each measurement as it is made.

    The sender has the first core, the platform, and a store beside it, the last one.
    """
    for side in plan.sides:
        if (package := side.lacks()) is not None:
            raise LoadError(f"{side.name} needs {package}: pip install {package}, or --only others")
    cores = choose_cores()
    measured = []
    # Not where the sender is, which has its core to itself.
    with pinned(cores.server):
        for number, latency, side in product(range(1, plan.rounds + 1), plan.latencies, plan.sides):
            one = measure(side, latency, number, plan.sends, cores)
            measured.append(one)
            progress(one)
    return measured, cores


def measure(side: Side, latency: float, number: int, sends: int, cores: Cores) -> Measurement:
    """Measure a side once."""
    count, in_flight = max(1, round(sends * side.share)), side.in_flight(latency)
    with simulated_platform(cores.server) as platform:
        platform.set_up(latency)
        order = Order(platform.url, platform.token(), in_flight, 2 * in_flight, count)
        with side.start(order, cores) as sender:
            before = platform.received()
            if before.all != order.warm_up:
                told = f"{before.all} messages of {order.warm_up} arrived before it began"
                raise LoadError(f"{side.name}: {told}")
            timed = _time(platform, sender, before.all + count, cores)
        after = platform.received()
    return Measurement(
        side=side.name,
        latency=latency,
        round=number,
        sends=count,
        in_flight=in_flight,
        seconds=timed.seconds,
        sender_cpu=timed.sender,
        platform_cpu=timed.platform,
        others=timed.others,
        missing=count - (after.distinct - before.distinct),
        duplicates=after.duplicates,
        errors=dict(timed.errors),
    )


class _Timed(NamedTuple):
    """What a sender took."""

    seconds: float
    sender: float
    """Seconds of a processor."""
    platform: float
    others: float | None
    """Percent of the sender's core."""
    errors: Counter[str]


def _time(platform: SimulatedPlatform, sender: Sender, wanted: int, cores: Cores) -> _Timed:
    """Let a sender begin, and wait until the ledger has so many messages."""
    busy = busy_clock(cores.generator)

    def core() -> float:
        return busy() or 0.0

    clocks: list[Callable[[], float]] = [sender.cpu, platform.cpu, core, time.perf_counter]
    at_first = [clock() for clock in clocks]
    sender.begin()
    errors = _wait(platform, sender, wanted)
    cpu, platform_cpu, all_cpu, seconds = (
        clock() - first for clock, first in zip(clocks, at_first, strict=True)
    )
    return _Timed(
        seconds,
        cpu,
        platform_cpu,
        None if busy() is None else max(0.0, 100 * (all_cpu - cpu) / seconds),
        _end(sender) if errors is None else errors,
    )


def _wait(platform: SimulatedPlatform, sender: Sender, wanted: int) -> Counter[str] | None:
    """Wait until the ledger has as many messages, or the sender is done, or nothing moves."""
    seen, at = 0, time.monotonic()
    while (received := platform.received().all) < wanted:
        if (errors := sender.ended()) is not None:
            return errors
        if received > seen:
            seen, at = received, time.monotonic()
        elif time.monotonic() - at > _STANDSTILL:
            return Counter({"standstill": 1})
        time.sleep(_POLL)
    return None


def _end(sender: Sender) -> Counter[str]:
    """Return what the sender says at its end; nothing where it does not come to one by itself."""
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        if (errors := sender.ended()) is not None:
            return errors
        time.sleep(_POLL)
    return Counter()
