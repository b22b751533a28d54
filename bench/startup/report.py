"""What is told of a run: the table, the goals, and the JSON with every start."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench import table
from bench.load.cores import DISTURBED, Cores
from bench.load.report import Spread
from bench.load.servers import Row
from bench.provenance import provenance
from bench.startup.runner import Plan, Start

GOAL_SECONDS: Final = 1.5
"""What a first answer must be there within."""

GOAL_MIB: Final = 90.0
"""What the process that gave it must be under."""

_MIB: Final = 1 << 20
_PACKAGES: Final = (
    *("wechat-gateway", "granian", "litestar", "uvloop", "msgspec", "pydantic", "redis"),
)
_HEADINGS: Final = ("server", "first answer s", "CPU s", "MiB then", "first start s", "errors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One row over all rounds."""

    row: str
    title: str
    seconds: Spread
    cpu: Spread | None
    mib: Spread
    first_start: float
    """Seconds of the start that does not count."""
    errors: list[str]
    disturbed: int
    """Rounds in which something else had a share of the core that counts."""

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as under its headings."""
        return (
            self.title,
            self.seconds.show(2),
            "-" if self.cpu is None else self.cpu.show(2),
            self.mib.show(1),
            f"{self.first_start:.2f}",
            str(len(self.errors)),
        )


def summarise(rows: Sequence[Row], starts: Sequence[Start]) -> list[Summary]:
    """Return a summary per row, in the rows' order."""
    return [_summary(row, [one for one in starts if one.row == row.name]) for row in rows]


def _summary(row: Row, starts: list[Start]) -> Summary:
    first, *counted = starts
    cpu = [one.cpu for one in counted if one.cpu is not None]
    return Summary(
        row=row.name,
        title=row.title,
        seconds=Spread.of([one.seconds for one in counted]),
        cpu=Spread.of(cpu) if cpu else None,
        mib=Spread.of([one.resident / _MIB for one in counted]),
        first_start=first.seconds,
        errors=[one.error for one in starts if one.error],
        disturbed=sum((one.others or 0) >= DISTURBED for one in counted),
    )


def goal_lines(summaries: Sequence[Summary]) -> list[str]:
    """Say of each row whether it starts as fast, and as small, as it must."""
    return [line for one in summaries for line in _goal_lines(one)]


def _goal_lines(one: Summary) -> list[str]:
    # A busy machine makes a start longer, but no process larger.
    doubt = ", but the machine was not quiet" if one.disturbed else ""
    first = f"goal: {one.row} first right answer under {GOAL_SECONDS:g} s: "
    size = f"goal: {one.row} resident after it under {GOAL_MIB:g} MiB: "
    seconds = f" ({one.seconds.median:.2f}, at most {one.seconds.most:.2f}){doubt}"
    mib = f" ({one.mib.median:.1f}, at most {one.mib.most:.1f})"
    return [
        first + _met(one, one.seconds, GOAL_SECONDS) + seconds,
        size + _met(one, one.mib, GOAL_MIB) + mib,
    ]


def _met(one: Summary, measured: Spread, goal: float) -> str:
    return "met" if measured.median < goal and not one.errors else "not met"


def describe(plan: Plan, cores: Cores, summaries: Sequence[Summary]) -> list[str]:
    """Return the lines that say how the numbers came about, and what was wrong."""
    lines = [
        f"Rounds: {plan.rounds}, {cores}.",
        "First answer: from just before the process is made to the last byte of the right answer",
        "to a signed and sealed callback, which is sent once something listens on the port.",
        "MiB then: resident memory of the process that answered.",
        "CPU: of all the server's processes until then, its own starter among them.",
        "Shown: medians over the rounds (least-most). The very first start of a row does not count",
        "there: it may find its files on the disk. A Redis runs before its gateway is started.",
    ]
    if disturbed := [f"{one.row} in {one.disturbed}" for one in summaries if one.disturbed]:
        lines.append(
            f"Rounds in which something else took {DISTURBED:.0f} % of the core: "
            f"{', '.join(disturbed)}. Measure again on a quiet machine."
        )
    return lines + [f"{one.title}: {error}" for one in summaries for error in one.errors]


def print_table(summaries: Sequence[Summary]) -> None:
    """Print the table for a terminal."""
    table.show(_HEADINGS, [one.cells() for one in summaries])


def markdown_table(summaries: Sequence[Summary]) -> str:
    """Return the table for a document."""
    return table.markdown(_HEADINGS, [one.cells() for one in summaries])


def as_json(
    plan: Plan, cores: Cores, starts: Sequence[Start], summaries: Sequence[Summary]
) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, every start."""
    return {
        **provenance(_PACKAGES, pinning=str(cores)),
        "options": {"rounds": plan.rounds, "timestamp_window": plan.timestamp_window},
        "notes": describe(plan, cores, summaries),
        "goals": goal_lines(summaries),
        "summary": [
            asdict(one)
            | {
                name: None if spread is None else spread._asdict()
                for name, spread in (("seconds", one.seconds), ("cpu", one.cpu), ("mib", one.mib))
            }
            for one in summaries
        ],
        "rounds": [asdict(one) for one in starts],
    }


def summaries_of(document: dict[str, Any]) -> list[Summary]:
    """Return the summaries that as_json wrote down."""
    return [
        Summary(
            **one
            | {
                name: None if one[name] is None else Spread(**one[name])
                for name in ("seconds", "cpu", "mib")
            }
        )
        for one in document["summary"]
    ]
