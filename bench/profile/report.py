"""What is told of a run: both tables, how they came about, and the JSON with every sample."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from bench import table
from bench.load.cores import DISTURBED, SATURATED, Cores
from bench.load.report import Spread
from bench.profile.perf import FREQUENCY
from bench.profile.served import WARM_UP_SECONDS, Plan, Round
from bench.profile.steps import BEGUN, REST, WHOLE, StepTime
from bench.provenance import provenance

TOP: Final = 3
"""Functions of a group that are shown."""

WAITING: Final = "no processor time: waiting"

_LONGEST: Final = 22
"""Characters of a function's name that are shown."""

_PACKAGES: Final = (
    *("wechat-gateway", "granian", "litestar", "uvloop", "msgspec", "pycryptodome", "redis"),
)
_SERVED_HEADINGS: Final = ("part of a request", "us", "share", "its functions with the most, us")
_STEPS_HEADINGS: Final = ("step", "us", "share of the whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group over all rounds."""

    group: str
    us: Spread
    """Of each request, in microseconds."""
    share: float
    """Of the time from one request to the next, in percent."""
    functions: dict[str, float]
    """The microseconds of each function, the most first."""

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        most = list(self.functions.items())[:TOP]
        shown = ", ".join(f"{_short(function)} {us:.2f}" for function, us in most)
        return (self.group, self.us.show(2), f"{self.share:.1f} %", shown)


def _short(function: str) -> str:
    """Return a function's name, or the end of one that is too long."""
    return function if len(function) <= _LONGEST else f"..{function[-_LONGEST:]}"


def summarise(rounds: Sequence[Round]) -> list[Group]:
    """Return the groups over all rounds, those with the most first; waiting is the last."""
    names = dict.fromkeys(group for one in rounds for group in one.samples)
    groups = [_group(name, rounds) for name in names]
    waiting = Spread.of([one.waiting_us for one in rounds])
    return [
        *sorted(groups, key=lambda group: group.us.median, reverse=True),
        Group(group=WAITING, us=waiting, share=_share(waiting, rounds), functions={}),
    ]


def _group(name: str, rounds: Sequence[Round]) -> Group:
    us = Spread.of([one.us_of(name) for one in rounds])
    # Means, for one round has too few samples of most functions.
    functions: dict[str, float] = {}
    for one in rounds:
        for function, samples in one.samples.get(name, {}).items():
            us_here = samples * one.us_each / len(rounds)
            functions[function] = functions.get(function, 0.0) + us_here
    return Group(
        group=name,
        us=us,
        share=_share(us, rounds),
        functions=dict(sorted(functions.items(), key=lambda one: one[1], reverse=True)),
    )


def _share(us: Spread, rounds: Sequence[Round]) -> float:
    return 100 * us.median / median(one.us for one in rounds)


def step_cells(steps: Sequence[StepTime]) -> list[tuple[str, ...]]:
    """Return the rows of the steps' table, as under its headings."""
    whole = next(step.us for step in steps if step.step == WHOLE)
    return [(step.step, f"{step.us:.2f}", f"{100 * step.us / whole:.0f} %") for step in steps]


def describe_served(plan: Plan, cores: Cores, rounds: Sequence[Round]) -> list[str]:
    """Return the lines that say how the samples came about, and what was wrong."""
    rate = Spread.of([one.requests_per_second for one in rounds])
    sampled = Spread.of([one.sampled_requests_per_second for one in rounds])
    samples = sum(sum(counts.values()) for one in rounds for counts in one.samples.values())
    lines = [
        f"{plan.row.title}: {plan.row.setup}.",
        f"Rounds: {plan.rounds} of {plan.seconds} s, {plan.connections} connections, {cores}.",
        f"Generator: {plan.generator.name}.",
        f"Requests/s: {rate.show(0)}; then, slower by perf's interrupts: {sampled.show(0)}.",
        f"Samples: {samples:,}, {FREQUENCY} for each second of processor time, by perf.",
        "A part's share of them is its share of the processor time between two requests, at the",
        "first of these rates. The function that ran counts, whoever called it; within Linux, its",
        "nearest caller that bench/profile/groups.py lists. In a virtual machine perf sees what",
        "runs with interrupts off only where they are let in again, often as a spinlock's release.",
        "Shown: medians over the rounds (least-most); of functions, means.",
        f"Checked: every one of {sum(one.checked for one in rounds):,} replies.",
    ]
    if any((one.server_cpu or SATURATED) < SATURATED for one in rounds):
        lines.append("The server was not busy all the time: see what it waited.")
    if disturbed := sum((one.server_core_others or 0) >= DISTURBED for one in rounds):
        lines.append(
            f"Rounds in which something else took {DISTURBED:.0f} % of its core: {disturbed}. "
            "Measure again on a quiet machine."
        )
    return lines + [example for one in rounds for example in one.examples]


def describe_steps(messages: int, repeats: int) -> list[str]:
    """Return the lines that say how the steps' times came about."""
    return [
        f"Steps: each on {messages:,} distinct callbacks in a row, in this process, over memory://;",
        f"the best of {repeats} repeats. Each has a Python call of its own in it.",
        f"{WHOLE}: CallbackEndpoint.handle; {REST}: what the parts above leave of it.",
        f"{BEGUN}: what gateway.http.eager adds to that in a server.",
        "Checked: every reply of the whole.",
    ]


def served_table(groups: Sequence[Group]) -> str:
    """Return the groups' table for a document."""
    return table.markdown(_SERVED_HEADINGS, [one.cells() for one in groups])


def steps_table(steps: Sequence[StepTime]) -> str:
    """Return the steps' table for a document."""
    return table.markdown(_STEPS_HEADINGS, step_cells(steps))


def show_served(groups: Sequence[Group], *, markdown: bool) -> None:
    """Print the groups' table."""
    if markdown:
        print(served_table(groups), end="\n\n")
    else:
        table.show(_SERVED_HEADINGS, [one.cells() for one in groups])


def show_steps(steps: Sequence[StepTime], *, markdown: bool) -> None:
    """Print the steps' table."""
    if markdown:
        print(steps_table(steps), end="\n\n")
    else:
        table.show(_STEPS_HEADINGS, step_cells(steps))


def served_json(plan: Plan, cores: Cores, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return what was sampled: groups, and every round's samples by function."""
    return {
        "row": plan.row.name,
        "generator": plan.generator.name,
        "pinning": str(cores),
        "options": {
            "seconds": plan.seconds,
            "rounds": plan.rounds,
            "connections": plan.connections,
            "callbacks": plan.callbacks,
            "warm_up_seconds": WARM_UP_SECONDS,
            "frequency": FREQUENCY,
            "timestamp_window": plan.timestamp_window,
        },
        "notes": describe_served(plan, cores, rounds),
        "summary": [asdict(one) | {"us": one.us._asdict()} for one in summarise(rounds)],
        "rounds": [asdict(one) for one in rounds],
    }


def steps_json(steps: Sequence[StepTime], messages: int, repeats: int) -> dict[str, Any]:
    """Return what was timed."""
    return {
        "options": {"messages": messages, "repeats": repeats},
        "notes": describe_steps(messages, repeats),
        "summary": [step._asdict() for step in steps],
    }


def as_json(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that were measured, `served` and `steps`, with the machine, the versions."""
    return {
        **provenance(_PACKAGES),
        "goals": [],
        **parts,
    }


def groups_of(document: dict[str, Any]) -> list[Group]:
    """Return the groups that as_json wrote down."""
    return [Group(**one | {"us": Spread(**one["us"])}) for one in document["served"]["summary"]]


def steps_of(document: dict[str, Any]) -> list[StepTime]:
    """Return the steps that as_json wrote down."""
    return [StepTime(**one) for one in document["steps"]["summary"]]
