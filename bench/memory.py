"""`python -m bench.memory`: does a gateway's memory stay flat, however many callbacks it answers?

Sends distinct callbacks in sets, each reply checked, and reads the resident memory of the process
that answers between two sets, and what its garbage collections cost it.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import table
from bench.garbage import FOLDER_VARIABLE, Garbage
from bench.load.callbacks import CallbackSet, echo_check
from bench.load.choice import choose_generator
from bench.load.cores import Cores, UsageMeter, choose_cores, pinned
from bench.load.generator import LoadError
from bench.load.runner import Findings
from bench.load.scratch import scratch
from bench.load.servers import ROWS, Server, check_installed
from bench.options import add_output, end_by_exception, number, write_json
from bench.provenance import provenance
from bench.resident import largest
from bench.served import gateway_row
from gateway.inbound.claims import MAX_RECORDS

FULL_FROM: Final[Mapping[str, int]] = {
    "gateway": MAX_RECORDS,
    "gateway-sqlite": 0,
    "gateway-redis": 0,
}
"""The rows, and how many messages each remembers within its process: memory:// so many, the other
stores elsewhere. Memory grows until then, and whether it is flat counts from there."""

FLAT_MIB: Final = 2.0
"""What the last quarter of a run may add and still counts as flat: the allocator's own noise."""

PAUSE_MS: Final = 5.0
"""What a garbage collection must be under."""

_WINDOW: Final = 86_400
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    rows: list[str]
    callbacks: int = 1_000_000
    """To each row, at least."""
    seconds: int = 3
    """Of load between two looks."""
    signed: int = 120_000
    """Distinct callbacks of one set, signed at one moment; more than any row answers meanwhile."""


Points = list[dict[str, Any]]
"""What was seen after each set: callbacks so far, resident bytes, garbage collections."""


class WrongReplies(Exception):
    """Replies were not right, so that nothing measured means anything."""


def measure(plan: Plan, row: str, cores: Cores, directory: Path) -> Points:
    """Return what is seen after each set; raise WrongReplies, or LoadError."""
    generator = choose_generator(None)
    told = directory / row
    told.mkdir()
    served = gateway_row(
        row, bot="bench.garbage_bot:echo", environment={FOLDER_VARIABLE: str(told)}
    )
    points: Points = []
    answered = 0
    with Server(served, cores.server, _WINDOW) as server:
        while answered < plan.callbacks:
            # Signed in another second than the last set, so that none was seen before.
            sent = CallbackSet(directory / "callbacks", plan.signed, int(time.time()))
            meter = UsageMeter(server.cpu_clock(), cores, server.store_clock())
            load = generator.run(
                server.port, sent, start=0, seconds=plan.seconds, connections=64, meter=meter
            )
            findings = Findings()
            findings.add(load, echo_check(sent))
            if findings.errors:
                raise WrongReplies(f"{row}: {dict(findings.errors)}, {findings.examples}")
            if load.sent > plan.signed:
                raise LoadError(f"{row} had all callbacks of a set already; sign more: --signed")
            answered += load.requests
            points.append({"callbacks": answered, **_seen(server.pid, told)})
            _tell(row, points[-1])
    return points


def _seen(group: int, told: Path) -> dict[str, Any]:
    """Return the memory and the collections of the process that answers."""
    process, size = largest(group)
    garbage = Garbage.read(told, process)
    if garbage is None:
        raise LoadError("the process that answers tells nothing of its garbage collections")
    return {"resident": size, "garbage": garbage._asdict()}


def _tell(row: str, point: dict[str, Any]) -> None:
    print(
        f"{row:<16}{point['callbacks']:>11,} callbacks  {point['resident'] / _MIB:7.1f} MiB"
        f"  longest collection {point['garbage']['longest_ms']:.2f} ms",
        file=sys.stderr,
        flush=True,
    )


def settled(row: str, points: Points) -> Points:
    """Return the points from which on a row remembers as many messages as it ever does."""
    return [point for point in points if point["callbacks"] > FULL_FROM[row]]


def growth(points: Points) -> float | None:
    """Return what the last quarter of a run added to the one before it, in MiB.

    None where there are no quarters yet.
    """
    if len(points) < 4:
        return None
    quarter = len(points) // 4
    last = [point["resident"] for point in points[-quarter:]]
    before = [point["resident"] for point in points[-2 * quarter : -quarter]]
    return float(median(last) - median(before)) / _MIB


def _verdict(grown: float | None) -> str:
    if grown is None:
        return "too few callbacks to tell"
    return f"{grown:+.1f}, {'flat' if grown <= FLAT_MIB else 'grows'}"


def goal_lines(document: dict[str, Any]) -> list[str]:
    """Say of each row whether its memory is flat, and its collections are short."""
    return [
        line
        for row, points in document["rows"].items()
        for line in (_flat_line(row, points), _pause_line(row, points))
    ]


def _flat_line(row: str, points: Points) -> str:
    counted = settled(row, points)
    behind = f" behind the {FULL_FROM[row]:,} it remembers" * bool(FULL_FROM[row])
    callbacks = points[-1]["callbacks"] - FULL_FROM[row]
    grown = growth(counted)
    if grown is None:
        return f"goal: {row} flat{behind}: not measured, for there were too few callbacks"
    met = "met" if grown <= FLAT_MIB else "not met"
    return f"goal: {row} flat over {callbacks:,} callbacks{behind}: {met} ({grown:+.1f} MiB)"


def _pause_line(row: str, points: Points) -> str:
    line = f"goal: {row} longest collection under {PAUSE_MS:.0f} ms: "
    if "garbage" not in points[-1]:
        return f"{line}not measured"
    garbage = Garbage.of(points[-1]["garbage"])
    met = "met" if garbage.longest_ms < PAUSE_MS else "not met"
    return f"{line}{met} ({garbage.longest_ms:.2f}, of {sum(garbage.collections):,})"


def describe(document: dict[str, Any]) -> list[str]:
    """Return the lines that say how the numbers came about."""
    seconds = document["options"]["seconds"]
    lines = [
        f"Sets: {seconds} s each at full speed, 64 connections; every reply was checked.",
        f"Flat: the last quarter's median set adds at most {FLAT_MIB:g} MiB to the quarter before.",
        "Collections: those of garbage in the process that answers, by generation, from the end of",
        "its start on; each is a pause. Collected: objects in cycles that they found.",
    ]
    lines += [
        f"{ROWS[row].title}: it remembers {FULL_FROM[row]:,} messages in its process, and counts "
        "from then on."
        for row in document["rows"]
        if FULL_FROM[row]
    ]
    return lines


def _cells(row: str, points: Points, *, garbage: bool) -> tuple[str, ...]:
    first, last, most = (
        points[0]["resident"],
        points[-1]["resident"],
        max(point["resident"] for point in points),
    )
    return (
        ROWS[row].title,
        f"{points[-1]['callbacks']:,}",
        *(f"{size / _MIB:.1f}" for size in (first, last, most)),
        _verdict(growth(settled(row, points))),
        *(_garbage_cells(Garbage.of(points[-1]["garbage"])) if garbage else ()),
    )


def _garbage_cells(garbage: Garbage) -> tuple[str, ...]:
    return (
        f"{garbage.longest_ms:.2f}",
        " / ".join(f"{count:,}" for count in garbage.collections),
        f"{garbage.collected:,}",
    )


_HEADINGS: Final = (
    *("server", "callbacks", "MiB after the first set", "at the end", "at most"),
    "added by the last quarter",
)
_GARBAGE_HEADINGS: Final = ("longest pause ms", "collections", "collected")


def _table(document: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows; those of collections where all of them were watched."""
    rows: dict[str, Points] = document["rows"]
    garbage = all("garbage" in points[-1] for points in rows.values())
    headings = _HEADINGS + _GARBAGE_HEADINGS * garbage
    return headings, [_cells(row, points, garbage=garbage) for row, points in rows.items()]


def markdown_table(document: dict[str, Any]) -> str:
    """Return the table for a document, from what the JSON holds."""
    return table.markdown(*_table(document))


_EXAMPLES: Final = """\
examples:
  python -m bench.memory                                     about ten minutes
  python -m bench.memory --callbacks 300000 --only gateway   a quick look
  python -m bench.memory --markdown > table.md               the table for a document

exit status: 0, also where a collection is too long; 1 where memory grows or a reply was wrong; 2 if
the run could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory",
        description="Resident memory and garbage collections of the answering process over very "
        "many distinct callbacks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--callbacks",
        type=number(1_000_000_000),
        default=1_000_000,
        help="to each row, at least (default: 1000000)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=FULL_FROM,
        metavar="ROW",
        default=list(FULL_FROM),
        help=f"these rows (default: {', '.join(FULL_FROM)})",
    )
    parser.add_argument(
        "--seconds", type=number(600), default=3, help="between two looks (default: 3)"
    )
    parser.add_argument(
        "--signed",
        type=number(5_000_000),
        default=120_000,
        help="callbacks for each of these, more than a row takes (default: 120000)",
    )
    add_output(parser, "memory")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run it and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    plan = Plan(
        rows=list(options.only),
        callbacks=options.callbacks,
        seconds=options.seconds,
        signed=options.signed,
    )
    cores = choose_cores()
    found: dict[str, Points] = {}
    try:
        check_installed([ROWS[row] for row in plan.rows])
        with scratch() as directory, pinned(cores.generator):
            for row in plan.rows:
                found[row] = measure(plan, row, cores, directory)
    except LoadError as error:
        print(f"bench.memory: {error}", file=sys.stderr)
        return 2
    except WrongReplies as wrong:
        print(f"bench.memory: {wrong}", file=sys.stderr)
        return 1
    document = as_json(plan, cores, found)
    write_json(options.json, document)
    if options.markdown:
        print(markdown_table(document), end="\n\n")
    else:
        table.show(*_table(document))
    print("\n".join([*document["notes"], *document["goals"]]))
    return int(any(_grows(row, points) for row, points in found.items()))


def _grows(row: str, points: Points) -> bool:
    grown = growth(settled(row, points))
    return grown is not None and grown > FLAT_MIB


def as_json(plan: Plan, cores: Cores, found: dict[str, Points]) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, every set."""
    document = {
        **provenance(
            ("wechat-gateway", "granian", "redis", "uvloop", "msgspec"), pinning=str(cores)
        ),
        "options": {
            "callbacks": plan.callbacks,
            "seconds": plan.seconds,
            "signed": plan.signed,
        },
        "rows": found,
    }
    return document | {"notes": describe(document), "goals": goal_lines(document)}


if __name__ == "__main__":
    raise SystemExit(main())
