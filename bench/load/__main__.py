"""`python -m bench.load`: the command line of the load comparison."""

import argparse
import sys
from typing import Final

from bench.load.choice import choose_generator
from bench.load.generator import LoadError
from bench.load.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    summarise,
)
from bench.load.runner import Measurement, Plan, run
from bench.load.servers import ROWS
from bench.options import add_output, add_traffic, end_by_exception, number, write_json

_EXAMPLES: Final = """\
examples:
  python -m bench.load                                      everything, about ten minutes
  python -m bench.load --rounds 1 --seconds 2               a quick look
  python -m bench.load --only gateway wechatpy-fastapi      the goal alone
  python -m bench.load --markdown > table.md                the table for a document

rows:
{rows}

exit status: 0, also where the goal is not met; 1 if any reply was wrong or missing; 2 if the run
could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(f"  {row.name:<24}{row.title}: {row.setup}" for row in ROWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        description="Compare this gateway under load with wechatpy and with Granian's ceiling.",
        epilog=_EXAMPLES.format(rows=rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=number(600), default=4, help="of each measurement (default: 4)"
    )
    parser.add_argument("--rounds", type=number(100), default=5, help="over all rows (default: 5)")
    add_traffic(parser, 200_000)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help="these rows alone")
    add_output(parser, "load")
    return parser


def _tell(one: Measurement) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.items()) or "no errors"
    print(
        f"round {one.round}  {one.row:<24}{one.requests_per_second:>9,.0f} requests/s"
        f"  p99 {one.p99_ms:.2f} ms  {errors}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    try:
        plan = Plan(
            rows=[row for row in ROWS.values() if not options.only or row.name in options.only],
            generator=choose_generator(options.generator),
            seconds=options.seconds,
            rounds=options.rounds,
            connections=options.connections,
            callbacks=options.callbacks,
        )
        measured, cores = run(plan, _tell)
    except LoadError as error:
        print(f"bench.load: {error}", file=sys.stderr)
        return 2
    summaries = summarise(plan.rows, measured)
    write_json(options.json, as_json(plan, cores, measured, summaries))
    if options.markdown:
        print(markdown_table(summaries), end="\n\n")
    else:
        print_table(summaries)
    print("\n".join([*describe(plan, cores, summaries), *goal_lines(summaries)]))
    return 1 if any(one.errors for one in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
