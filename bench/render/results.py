"""The result files as the templates see them."""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from bench import memory, table
from bench.gates.baseline import Baseline, load
from bench.gates.refusal import CannotRun
from bench.growth.report import describe as describe_growth
from bench.growth.report import markdown_table as growth_table
from bench.growth.report import plot_file
from bench.identity.report import describe as describe_identity
from bench.identity.report import goal_lines as identity_goals
from bench.identity.report import markdown_tables as identity_tables
from bench.latency.report import Summary as LatencySummary
from bench.latency.report import markdown_table as latency_table
from bench.load.report import Spread, Summary, summaries_of
from bench.load.report import markdown_table as load_table
from bench.micro.report import Row, rows_of
from bench.micro.report import markdown_table as micro_table
from bench.micro.sides import WHOLE_PATH, Side
from bench.percentiles import LEVELS
from bench.profile.report import groups_of, served_table, steps_of, steps_table
from bench.push.report import markdown_table as push_table
from bench.push.report import summaries_of as push_summaries
from bench.queue.report import describe as describe_queue
from bench.queue.report import markdown_tables as queue_tables
from bench.render.refusal import CannotRender
from bench.startup.report import markdown_table as startup_table
from bench.startup.report import summaries_of as startups_of
from bench.telemetry.report import describe as describe_telemetry
from bench.telemetry.report import goal_lines as telemetry_goals
from bench.telemetry.report import markdown_table as telemetry_table
from bench.workers.report import markdown_table as workers_table
from bench.workers.report import summaries_of as workers_of


class Result:
    """A result file: what all of them have."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))

    @property
    def date(self) -> str:
        """The day."""
        return str(self.document["date"])[:10]

    @property
    def machine(self) -> str:
        """The processor, the cores, the kernel."""
        machine = self.document["machine"]
        virtual = " (virtual)" if machine.get("virtual") else ""
        return f"{machine['cpu']}, {machine['cores']} cores{virtual}, {machine['kernel']}"

    @property
    def python(self) -> str:
        """The interpreter and its version."""
        told = str(self.document["python"])
        return f"{'PyPy' if 'PyPy' in told else 'CPython'} {told.split(maxsplit=1)[0]}"

    @property
    def versions(self) -> dict[str, str | None]:
        """The version of each package."""
        return dict(self.document["versions"])

    @property
    def options(self) -> dict[str, Any]:
        """What the run was told to do."""
        return dict(self.document["options"])

    @property
    def notes(self) -> str:
        """What the run said of how its numbers came about, a line each."""
        return "\n".join(self.document["notes"])

    @property
    def goals(self) -> str:
        """What the run said of its goals, a line each."""
        return "\n".join(self.document["goals"])


class Load(Result):
    """What servers did with load."""

    @property
    def table(self) -> str:
        """All rows."""
        return load_table(self._summaries)

    @property
    def generator(self) -> str:
        """What sent the load, with its version."""
        return str(self.document["generator"])

    def row(self, name: str) -> Summary:
        """Return one row."""
        return _only(name, {one.row: one for one in self._summaries}, self.file)

    @cached_property
    def _summaries(self) -> list[Summary]:
        return summaries_of(self.document)


class Micro(Result):
    """What steps took."""

    @property
    def table(self) -> str:
        """All rows."""
        return micro_table(self._rows)

    def row(self, name: str) -> Row:
        """Return one row."""
        return _only(name, {one.name: one for one in self._rows}, self.file)

    def us(self, side: str, row: str = WHOLE_PATH) -> float:
        """Return a side's least time of a row, in microseconds."""
        best = self.row(row).best(Side(side))
        if best is None:
            raise CannotRender(f"{self.file}: {side} was not timed in {row}")
        return 1e6 * best

    def ratio(self, side: str, row: str = WHOLE_PATH) -> float:
        """Return how many times as fast as wechatpy a side is."""
        return self.us(Side.WECHATPY, row) / self.us(side, row)

    @cached_property
    def _rows(self) -> list[Row]:
        return rows_of(self.document)


class Memory(Result):
    """Resident memory over many callbacks."""

    @property
    def table(self) -> str:
        """All rows."""
        return memory.markdown_table(self.document)

    @property
    def flat_mib(self) -> float:
        """What the last quarter of a run may add and still counts as flat."""
        return memory.FLAT_MIB


class Growth(Result):
    """What a step costs as its work grows."""

    def table(self, section: str) -> str:
        """Return a section's table."""
        self._check(section)
        return growth_table(self.document, section)

    def describe(self, section: str) -> str:
        """Return how a section's numbers came about, a line each."""
        self._check(section)
        return "\n".join(describe_growth(self.document, section))

    def picture(self, section: str) -> str:
        """Return the name of a section's picture in the folder of the results."""
        file = plot_file(self.file, section)
        if not file.exists():
            raise CannotRender(f"there is no {file}: make it with python -m bench.growth")
        return file.name

    def _check(self, section: str) -> None:
        _only(section, self.document["rows"], self.file)


class Latency(Result):
    """Latencies at a constant rate."""

    @property
    def table(self) -> str:
        """All rows."""
        return latency_table(list(self._summaries.values()))

    def row(self, name: str) -> LatencySummary:
        """Return one row."""
        return _only(name, self._summaries, self.file)

    @cached_property
    def _summaries(self) -> dict[str, LatencySummary]:
        spreads = ("throughput", "rate", "lag_p99_ms", "generator_cpu")
        return {
            one["row"]: LatencySummary(
                **one
                | {name: Spread(**one[name]) for name in spreads}
                | {
                    "latency_ms": {
                        level: Spread(**values) for level, values in one["latency_ms"].items()
                    }
                }
            )
            for one in self.document["summary"]
        }


class Stress(Result):
    """A run of users that call as WeChat does."""

    @property
    def table(self) -> str:
        """Every kind of message, and all of them."""
        rows = {**self.document["kinds"], "all": self.document}
        return table.markdown(
            ("message", "requests", *(f"{level} ms" for level in LEVELS)),
            [
                (
                    kind,
                    f"{told['requests']:,}",
                    *(f"{told['latency_ms'][level]:.2f}" for level in LEVELS),
                )
                for kind, told in rows.items()
            ],
        )

    @property
    def picture(self) -> str | None:
        """The name of its picture in the folder of the results; None where there is none."""
        file = self.file.with_suffix(".svg")
        return file.name if file.exists() else None


class Profile(Result):
    """Where the microseconds go."""

    @property
    def served(self) -> str:
        """What runs in a server under load."""
        return served_table(groups_of(self.document))

    @property
    def steps(self) -> str:
        """The gateway's own steps."""
        return steps_table(steps_of(self.document))

    def notes_of(self, part: str) -> str:
        """What was said of a part, ``served`` or ``steps``, a line each."""
        return "\n".join(self.document[part]["notes"])


class Startup(Result):
    """How soon a server answers, and what it takes up then."""

    @property
    def table(self) -> str:
        """All rows."""
        return startup_table(startups_of(self.document))


class Workers(Result):
    """What a second worker adds."""

    @property
    def table(self) -> str:
        """All rows."""
        return workers_table(workers_of(self.document))


class Telemetry(Result):
    """What it costs to be seen."""

    @property
    def table(self) -> str:
        """All rows."""
        return telemetry_table(self.document)

    @property
    def lines(self) -> str:
        """How the numbers came about, and what was wanted, a line each."""
        return "\n".join([*describe_telemetry(self.document), *telemetry_goals(self.document)])


class Push(Result):
    """Sends a second."""

    @property
    def table(self) -> str:
        """All rows."""
        return push_table(push_summaries(self.document))


class Identity(Result):
    """What signing in, verifying sessions and finding people cost."""

    @property
    def verifies(self) -> str:
        """How many sessions are verified a second."""
        return identity_tables(self.document)[0]

    @property
    def sign_ins(self) -> str:
        """What a sign-in takes."""
        return identity_tables(self.document)[1]

    @property
    def lookups(self) -> str:
        """What finding somebody takes."""
        return identity_tables(self.document)[2]

    @property
    def lines(self) -> str:
        """What was wanted, and how the numbers came about, a line each."""
        return "\n".join([*identity_goals(self.document), *describe_identity(self.document)])


class Queue(Result):
    """What jobs that wait cost."""

    @property
    def claims(self) -> str:
        """What a claim takes."""
        return queue_tables(self.document)[0]

    @property
    def delays(self) -> str:
        """How soon a message goes."""
        return queue_tables(self.document)[1]

    @property
    def lines(self) -> str:
        """How the numbers came about, a line each."""
        return "\n".join(describe_queue(self.document))

    @property
    def picture(self) -> str:
        """The name of its picture in the folder of the results."""
        file = self.file.with_suffix(".svg")
        if not file.exists():
            raise CannotRender(f"there is no {file}: make it with python -m bench.queue")
        return file.name


_REQUIRED: Final[Mapping[str, Callable[[Path], Result]]] = {
    "load": Load,
    "micro": Micro,
    "memory": Memory,
    "growth": Growth,
}

_OPTIONAL: Final[Mapping[str, Callable[[Path], Result]]] = {
    "profile": Profile,
    "startup": Startup,
    "workers": Workers,
    "push": Push,
    "queue": Queue,
    "identity": Identity,
    "telemetry": Telemetry,
}
"""Those whose sections templates leave out where they are None."""


def read_results(bench: Path) -> dict[str, Any]:
    """Return the results by the names that templates know them by; raise CannotRender.

    ``bench`` is the folder that holds the results' folder and the baseline of the gates.
    """
    folder = bench / "results"
    found: dict[str, Any] = {"baseline": _baseline(bench / "baseline.json")}
    for name, kind in _REQUIRED.items():
        file = folder / f"{name}.json"
        if not file.exists():
            raise CannotRender(f"there is no {file}: make it with python -m bench.{name}")
        found[name] = _open(kind, file)
    for name, kind in _OPTIONAL.items():
        file = folder / f"{name}.json"
        found[name] = _open(kind, file) if file.exists() else None
    # One for each share of the throughput that was measured, the greatest first.
    latencies = [_open(Latency, file) for file in folder.glob("latency*.json")]
    found["latencies"] = sorted(latencies, key=lambda one: -one.document["options"]["share"])
    found["stress"] = {
        file.stem.removeprefix("stress-"): _open(Stress, file)
        for file in sorted(folder.glob("stress-*.json"))
    }
    return found


def _baseline(file: Path) -> Baseline:
    try:
        return load(file)
    except CannotRun as error:
        raise CannotRender(str(error)) from None


def _open(kind: Callable[[Path], Result], file: Path) -> Result:
    try:
        return kind(file)
    except json.JSONDecodeError as error:
        raise CannotRender(f"{file} is no JSON: {error}") from None


_T = TypeVar("_T")


def _only(name: str, found: Mapping[str, _T], file: Path) -> _T:
    if name not in found:
        raise CannotRender(f"{file} has no {name}; it has {', '.join(found)}")
    return found[name]
