"""`python -m bench.workers`: the command line of the comparison of one worker with two."""

import argparse
import sys
from typing import Final

from bench.load.choice import choose_generator
from bench.load.generator import LoadError
from bench.options import add_output, add_traffic, end_by_exception, number, write_json
from bench.workers.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    summarise,
)
from bench.workers.runner import Measurement, Plan, run

ROW_NAMES: Final = ("gateway", "gateway-redis")

_EXAMPLES: Final = """\
examples:
  python -m bench.workers                                        about five minutes
  python -m bench.workers --rounds 1 --seconds 2 --only gateway  a quick look
  python -m bench.workers --markdown > table.md                  the table for a document

exit status: 0, also where the goal is not met; 1 if any reply was wrong or missing; 2 if the run
could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.workers",
        description="What a second worker adds: in throughput where there are three cores, and in "
        "what a request costs the server's processes anywhere.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=number(600), default=4, help="of each measurement (default: 4)"
    )
    parser.add_argument("--rounds", type=number(100), default=5, help="over all (default: 5)")
    add_traffic(parser, 200_000)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ROW_NAMES,
        metavar="ROW",
        default=ROW_NAMES,
        help=f"these rows (default: {', '.join(ROW_NAMES)})",
    )
    add_output(parser, "workers")
    return parser


def _tell(one: Measurement) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.items()) or "no errors"
    print(
        f"round {one.round}  {one.row:<14} workers: {one.workers}"
        f"  generator {'apart' if one.apart else 'on the same'}"
        f"{one.requests_per_second:>9,.0f} requests/s"
        f"  CPU {1e6 / one.requests_per_cpu_second:.1f} ms/1,000  {errors}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    try:
        plan = Plan(
            rows=list(options.only),
            generator=choose_generator(options.generator),
            seconds=options.seconds,
            rounds=options.rounds,
            connections=options.connections,
            callbacks=options.callbacks,
        )
        measured, layouts = run(plan, _tell)
    except LoadError as error:
        print(f"bench.workers: {error}", file=sys.stderr)
        return 2
    summaries = summarise(plan.rows, measured)
    write_json(options.json, as_json(plan, layouts, measured, summaries))
    if options.markdown:
        print(markdown_table(summaries), end="\n\n")
    else:
        print_table(summaries)
    print("\n".join([*describe(plan, layouts, summaries), *goal_lines(summaries)]))
    return 1 if any(one.errors for one in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
