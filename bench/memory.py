"""`python -m bench.memory`: does a gateway's memory stay flat, however many callbacks it answers?

Sends distinct callbacks in sets, each reply checked, and reads the resident memory of the process
that answers between two sets.
"""

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench import table
from bench.load.callbacks import CallbackSet, echo_check
from bench.load.choice import choose_generator
from bench.load.cores import Cores, UsageMeter, choose_cores, pinned, processes_of_group
from bench.load.generator import LoadError
from bench.load.runner import Findings
from bench.load.servers import ROWS, Server
from bench.machine import machine
from bench.versions import versions_of

ROW_NAMES: Final = ("gateway-sqlite", "gateway-redis")
"""What a gateway in earnest keeps its claims in; memory:// keeps a hundred thousand in itself."""

SET: Final = 100_000
"""Distinct callbacks signed at one moment; more than any row answers in STEP_SECONDS."""

STEP_SECONDS: Final = 4
FLAT_MIB: Final = 2.0
"""What the last quarter of a run may add and still counts as flat: the allocator's own noise."""

_WINDOW: Final = 86_400
_MIB: Final = 1 << 20


def measure(row: str, callbacks: int, cores: Cores, directory: Path) -> list[dict[str, Any]]:
    """Return the resident bytes after each set; raise LoadError where a reply was wrong."""
    generator = choose_generator(None)
    points: list[dict[str, Any]] = []
    answered = 0
    with Server(ROWS[row], cores.server, _WINDOW) as server:
        while answered < callbacks:
            # Signed in another second than the last set, so that none was seen before.
            sent = CallbackSet(directory / "callbacks", SET, int(time.time()))
            meter = UsageMeter(server.cpu_clock(), cores, server.store_clock())
            load = generator.run(
                server.port, sent, start=0, seconds=STEP_SECONDS, connections=64, meter=meter
            )
            findings = Findings()
            findings.add(load, echo_check(sent))
            if findings.errors or load.sent > SET:
                raise LoadError(f"{row}: {dict(findings.errors)} of {load.sent:,} callbacks")
            answered += load.requests
            points.append({"callbacks": answered, "resident": resident(server.pid)})
            print(
                f"{row:<16}{answered:>11,} callbacks  {points[-1]['resident'] / _MIB:7.1f} MiB",
                file=sys.stderr,
                flush=True,
            )
    return points


def resident(group: int) -> int:
    """Return the resident bytes of the largest process of a group: the one that answers."""
    return max(
        int((Path("/proc") / str(process) / "statm").read_text().split()[1])
        * os.sysconf("SC_PAGE_SIZE")
        for process in processes_of_group(group)
    )


def growth(points: list[dict[str, Any]]) -> float:
    """Return what the last quarter of a run added to the one before it, in MiB."""
    quarter = max(1, len(points) // 4)
    last = [point["resident"] for point in points[-quarter:]]
    before = [point["resident"] for point in points[-2 * quarter : -quarter]]
    return float(median(last) - median(before)) / _MIB


def _cells(row: str, points: list[dict[str, Any]]) -> tuple[str, ...]:
    first, last, most = (
        points[0]["resident"],
        points[-1]["resident"],
        max(point["resident"] for point in points),
    )
    grown = growth(points)
    verdict = "flat" if grown <= FLAT_MIB else "grows"
    return (
        ROWS[row].title,
        f"{points[-1]['callbacks']:,}",
        *(f"{size / _MIB:.1f}" for size in (first, last, most)),
        f"{grown:+.1f}, {verdict}",
    )


_HEADINGS: Final = (
    *("server", "callbacks", "MiB after the first set", "at the end", "at most"),
    "added by the last quarter",
)


def markdown_table(document: dict[str, Any]) -> str:
    """Return the table for a document, from what the JSON holds."""
    rows = [_cells(row, points) for row, points in document["rows"].items()]
    return table.markdown(_HEADINGS, rows)


def main() -> int:
    """Run it and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory",
        description="Resident memory of the answering process over very many distinct callbacks.",
        epilog="exit status: 0; 1 where memory grows; 2 if the run could not be made.",
    )
    parser.add_argument("--callbacks", type=int, default=1_000_000, help="(default: 1000000)")
    parser.add_argument("--only", nargs="+", choices=ROW_NAMES, default=list(ROW_NAMES))
    parser.add_argument("--json", type=Path, default=Path("bench/results/memory.json"))
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    cores = choose_cores()
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with TemporaryDirectory(prefix="gateway-bench-") as name, pinned(cores.generator):
            for row in options.only:
                found[row] = measure(row, options.callbacks, cores, Path(name))
    except LoadError as error:
        print(f"bench.memory: {error}", file=sys.stderr)
        return 2
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine() | {"pinning": str(cores)},
        "python": sys.version,
        "versions": versions_of(("granian", "redis", "uvloop", "msgspec")),
        "rows": found,
    }
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        print(markdown_table(document))
    else:
        table.show(_HEADINGS, [_cells(row, points) for row, points in found.items()])
    return int(any(growth(points) > FLAT_MIB for points in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
