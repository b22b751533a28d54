"""What is told of a run: the table, whether the goal is met, and the JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from bench import table
from bench.load.cores import DISTURBED, SATURATED, Cores
from bench.load.report import Spread
from bench.provenance import provenance
from bench.push.runner import Measurement, Plan
from bench.push.sides import SIDES, WECHATPY

GOAL: Final = 8.0
"""How many times the sends a second of wechatpy in 64 threads are to be reached."""

_PACKAGES: Final = (
    *("wechat-gateway", "aiohttp", "uvloop", "msgspec", "asyncpg"),
    *("wechatpy", "requests", "httpx", "pyreqwest"),
)
_HEADINGS: Final = (
    *("sender", "latency", "in flight", "sends/s", "x wechatpy", "CPU us per send"),
    *("platform's core", "ledger", "errors"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One side at one latency over all rounds; the ratio is taken within each round."""

    side: str
    title: str
    latency: float
    in_flight: int
    sends: int
    sends_per_second: Spread
    ratio: Spread | None
    """To wechatpy; None where that was not measured."""
    cpu_us: Spread
    platform_busy: float
    """Percent of its core that the platform took."""
    missing: int
    duplicates: int
    errors: dict[str, int]
    disturbed: int
    """Rounds in which something else had a share of the sender's core that counts."""

    @property
    def is_exact(self) -> bool:
        """Whether each message of each round was received exactly once."""
        return not self.missing and not self.duplicates

    def ledger(self) -> str:
        """Say what the ledger says."""
        if self.is_exact:
            return f"{self.sends:,} once each"
        told = ((self.missing, "missing"), (self.duplicates, "twice"))
        return ", ".join(f"{count:,} {what}" for count, what in told if count)

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        saturated = " (saturated)" if self.platform_busy >= SATURATED else ""
        return (
            self.title,
            f"{1000 * self.latency:.0f} ms",
            str(self.in_flight),
            self.sends_per_second.show(0),
            "-" if self.ratio is None else self.ratio.show(1),
            self.cpu_us.show(0),
            f"{self.platform_busy:.0f} %{saturated}",
            self.ledger(),
            ", ".join(f"{count:,} {kind}" for kind, count in self.errors.items()) or "0",
        )


def summarise(measured: Sequence[Measurement]) -> list[Summary]:
    """Return a summary per latency and side, in the order in which they were measured."""
    found: dict[tuple[float, str], list[Measurement]] = {}
    for one in measured:
        found.setdefault((one.latency, one.side), []).append(one)
    return [
        _summary(rounds, found.get((latency, WECHATPY))) for (latency, _), rounds in found.items()
    ]


def _summary(rounds: list[Measurement], others: list[Measurement] | None) -> Summary:
    first, errors = rounds[0], Counter[str]()
    for one in rounds:
        errors.update(one.errors)
    ratios = [
        one.sends_per_second / other.sends_per_second
        for one, other in zip(rounds, others or [], strict=False)
        if other.sends_per_second
    ]
    return Summary(
        side=first.side,
        title=SIDES[first.side].title,
        latency=first.latency,
        in_flight=first.in_flight,
        sends=sum(one.sends for one in rounds),
        sends_per_second=Spread.of([one.sends_per_second for one in rounds]),
        ratio=Spread.of(ratios) if ratios else None,
        cpu_us=Spread.of([one.cpu_us for one in rounds]),
        platform_busy=median(100 * one.platform_cpu / one.seconds for one in rounds),
        missing=sum(one.missing for one in rounds),
        duplicates=sum(one.duplicates for one in rounds),
        errors=dict(errors),
        disturbed=sum((one.others or 0) >= DISTURBED for one in rounds),
    )


def goal_lines(plan: Plan, summaries: Sequence[Summary]) -> list[str]:
    """Say of each side that is judged, at each latency, whether it is fast enough."""
    judged = [side.name for side in plan.sides if side.is_judged]
    return [_goal_line(one) for one in summaries if one.side in judged]


def _goal_line(one: Summary) -> str:
    line = f"goal: {one.side} at least {GOAL:g} x wechatpy at {1000 * one.latency:.0f} ms: "
    if one.ratio is None:
        return f"{line}not measured"
    met = one.ratio.median >= GOAL and one.is_exact and not one.errors
    doubts = ["the machine was not quiet"] * bool(one.disturbed)
    doubts += ["the platform was at its end"] * (one.platform_busy >= SATURATED)
    doubt = f", but {' and '.join(doubts)}" if doubts else ""
    return f"{line}{'met' if met else 'not met'} ({one.ratio.median:.1f}){doubt}"


def describe(plan: Plan, cores: Cores, summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield the lines that say how the numbers came about."""
    where = f"sender on core {cores.generator}, platform on core {cores.server}"
    yield f"Rounds: {plan.rounds} in turns, {plan.sends:,} sends each (slow senders have fewer)."
    yield f"Cores: {where if cores.server != cores.generator else cores}."
    yield "Clock: from the word to begin until the platform's ledger has all messages."
    yield "Ledger: what users received, told apart by open id and client_msg_id."
    yield "CPU: processor time of the sender's processes for each message that arrived."
    yield "Shown: medians over the rounds (least-most); ratios are medians of those in a round."
    yield from (f"- {side.title}: {side.setup}." for side in plan.sides)
    if disturbed := sum(one.disturbed for one in summaries):
        yield (
            f"In {disturbed} of {plan.rounds * len(summaries)} measurements something else took "
            f"{DISTURBED:.0f} % of the sender's core. Measure again on a quiet machine."
        )


def print_table(summaries: Sequence[Summary]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, [one.cells() for one in summaries])


def markdown_table(summaries: Sequence[Summary]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, [one.cells() for one in summaries])


def as_json(
    plan: Plan, cores: Cores, measured: Sequence[Measurement], summaries: Sequence[Summary]
) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all raw rounds."""
    return {
        **provenance(_PACKAGES),
        "options": {
            "rounds": plan.rounds,
            "sends": plan.sends,
            "latencies": list(plan.latencies),
            "sides": [side.name for side in plan.sides],
        },
        "notes": list(describe(plan, cores, summaries)),
        "goals": goal_lines(plan, summaries),
        "summary": [_plain(one) for one in summaries],
        "rounds": [asdict(one) for one in measured],
    }


_SPREADS: Final = ("sends_per_second", "cpu_us", "ratio")


def _plain(one: Summary) -> dict[str, Any]:
    """Return a summary with the names of its tuples."""
    spreads = {name: getattr(one, name) for name in _SPREADS}
    return asdict(one) | {name: spread and spread._asdict() for name, spread in spreads.items()}


def summaries_of(document: dict[str, Any]) -> list[Summary]:
    """Return the summaries that as_json wrote down."""
    return [
        Summary(**told | {name: told[name] and Spread(**told[name]) for name in _SPREADS})
        for told in document["summary"]
    ]
