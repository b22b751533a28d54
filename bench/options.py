"""What the command lines of the benchmarks have in common."""

import argparse
import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn


def number(most: int, least: int = 1) -> Callable[[str], int]:
    """Make the type of an option that is a whole number within bounds."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}")
        return int(text)

    return parse


def add_traffic(parser: argparse.ArgumentParser, callbacks: int, than: str = "a row takes") -> None:
    """Add the options of the load that servers are put under; ``callbacks`` is how many by default.

    There are to be more of them ``than`` is said.
    """
    parser.add_argument(
        "--connections", type=number(4096), default=64, help="kept alive (default: 64)"
    )
    parser.add_argument(
        "--callbacks",
        type=number(5_000_000),
        default=callbacks,
        help=f"distinct ones, more than {than} (default: {callbacks})",
    )
    parser.add_argument(
        "--generator", choices=("wrk", "python"), help="(default: wrk if installed, else python)"
    )


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options that say where a benchmark's result goes, and in which form it is shown."""
    file = Path("bench/results") / f"{name}.json"
    parser.add_argument(
        "--json",
        type=Path,
        default=file,
        metavar="FILE",
        help=f"where every raw number goes (default: {file})",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")


def write_json(file: Path, document: dict[str, Any]) -> None:
    """Write a result, its folder too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def end_by_exception() -> None:
    """Let SIGTERM raise, so that the servers are ended on the way out."""
    signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
