"""`python -m bench.latency`: the command line of the latency runs."""

import argparse
import sys
from typing import Final

from bench.latency.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    summarise,
)
from bench.latency.runner import Measurement, Plan, run
from bench.load.choice import choose_generator
from bench.load.generator import LoadError
from bench.load.servers import ROWS
from bench.options import add_output, end_by_exception, number, write_json

_DEFAULT_ROWS: Final = ("gateway", "gateway-redis", "gateway-sqlite")

_EXAMPLES: Final = """\
examples:
  python -m bench.latency                               about six minutes
  python -m bench.latency --rounds 1 --seconds 3        a quick look
  python -m bench.latency --share 90 --only gateway     nearer to its throughput
  python -m bench.latency --markdown > table.md         the table for a document

rows:
{rows}

exit status: 0, also where the goal is not met; 1 if any reply was wrong or missing; 2 if the run
could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(f"  {row.name:<24}{row.title}: {row.setup}" for row in ROWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency",
        description="Latency at a constant arrival rate, counted from when each callback was due.",
        epilog=_EXAMPLES.format(rows=rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--share",
        type=number(100),
        default=70,
        help="percent of its throughput that a server is sent (default: 70)",
    )
    parser.add_argument(
        "--seconds", type=number(600), default=10, help="of each measurement (default: 10)"
    )
    parser.add_argument("--rounds", type=number(100), default=5, help="over all (default: 5)")
    parser.add_argument(
        "--connections", type=number(4096), default=512, help="at most (default: 512)"
    )
    parser.add_argument(
        "--callbacks",
        type=number(5_000_000),
        default=300_000,
        help="distinct ones, more than a row takes (default: 300000)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ROWS,
        metavar="ROW",
        default=_DEFAULT_ROWS,
        help=f"these rows (default: {', '.join(_DEFAULT_ROWS)})",
    )
    parser.add_argument(
        "--generator",
        choices=("wrk", "python"),
        help="what finds the throughput (default: wrk if installed, else python)",
    )
    add_output(parser, "latency")
    return parser


def _tell(one: Measurement) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.items()) or "no errors"
    print(
        f"round {one.round}  {one.row:<24}{one.rate:>9,.0f} of {one.throughput:,.0f} requests/s"
        f"  p99 {one.latency_ms['p99']:.2f} ms  {errors}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    try:
        plan = Plan(
            rows=[row for row in ROWS.values() if row.name in options.only],
            generator=choose_generator(options.generator),
            share=options.share,
            seconds=options.seconds,
            rounds=options.rounds,
            connections=options.connections,
            callbacks=options.callbacks,
        )
        measured, cores = run(plan, _tell)
    except LoadError as error:
        print(f"bench.latency: {error}", file=sys.stderr)
        return 2
    summaries = summarise(plan.rows, measured)
    write_json(options.json, as_json(plan, cores, measured, summaries))
    if options.markdown:
        print(markdown_table(summaries), end="\n\n")
    else:
        print_table(summaries)
    print("\n".join([*describe(plan, cores, summaries), *goal_lines(plan, summaries)]))
    return 1 if any(one.errors for one in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
