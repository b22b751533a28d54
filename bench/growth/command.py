"""The command line of what grows."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Final

from bench.growth.clock import WrongResult
from bench.growth.report import (
    SECTIONS,
    as_json,
    describe,
    markdown_table,
    plot,
    print_table,
)
from bench.growth.scale import FULL, QUICK, Scale
from bench.growth.section import Row
from gateway.errors import StoreDown

_SECTIONS: Final = "\n".join(f"  {one.name:<10}{one.about}" for one in SECTIONS.values())

_EXAMPLES: Final = f"""\
examples:
  python -m bench.growth                          everything, about two minutes
  python -m bench.growth --only routes            one section, and its picture
  python -m bench.growth --quick --json /tmp/growth.json
  python -m bench.growth --markdown > tables.md   the tables for a document

sections:
{_SECTIONS}

exit status: 0; 1 if a measured call gave a wrong result; 2 if the run could not be made. Traffic
goes to a Redis of its own on 127.0.0.1 only.
"""


def _runs(text: str) -> int:
    if not text.isdecimal() or not 5 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("must be a number from 5 to 100")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth",
        description="Measure what a step costs as its work grows; write tables and pictures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--runs", type=_runs, help=f"over each size, 5 or more (default: {FULL.runs})"
    )
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help="these sections alone"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see whether everything works"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("bench/results/growth.json"),
        metavar="FILE",
        help="where every number goes, the pictures beside it (default: bench/results/growth.json)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser


def run(arguments: list[str] | None = None) -> int:
    """Measure what was asked for and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.quick and options.runs:
        parser.error("--quick has runs of its own; leave --runs out")
    scale = QUICK if options.quick else FULL
    scale = scale._replace(runs=options.runs or scale.runs)
    try:
        rows = _measure(options.only or list(SECTIONS), scale)
    except WrongResult as wrong:
        print(f"bench.growth: {wrong}", file=sys.stderr)
        return 1
    except (OSError, RuntimeError, StoreDown) as error:
        print(f"bench.growth: {error}", file=sys.stderr)
        return 2
    document = as_json(scale, rows)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    plot(document, options.json)
    for name in rows:
        if options.markdown:
            print(markdown_table(document, name), end="\n\n")
        else:
            print_table(document, name)
        print("\n".join([*describe(document, name), ""]))
    return 0


def _measure(names: list[str], scale: Scale) -> dict[str, list[Row]]:
    rows = {}
    for name in names:
        started = time.monotonic()
        rows[name] = SECTIONS[name].measure(scale)
        took = time.monotonic() - started
        print(f"{name:<10}{len(rows[name]):>4} figures  {took:6.1f} s", file=sys.stderr, flush=True)
    return rows
