"""`python -m bench.startup`: the command line of the timed starts."""

import argparse
import sys
from typing import Final

from bench.load.generator import LoadError
from bench.load.servers import ROWS
from bench.options import add_output, end_by_exception, number, write_json
from bench.startup.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    summarise,
)
from bench.startup.runner import Plan, Start, run

ROW_NAMES: Final = ("gateway", "gateway-sqlite", "gateway-redis")

_EXAMPLES: Final = """\
examples:
  python -m bench.startup                            about a minute
  python -m bench.startup --rounds 1 --only gateway  a quick look
  python -m bench.startup --markdown > table.md      the table for a document

exit status: 0, also where a goal is not met; 1 if an answer was wrong; 2 if the run could not be
made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.startup",
        description="Seconds from a server's start to its first right answer, and its memory then.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=number(1000), default=5, help="beside a first start (default: 5)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ROW_NAMES,
        metavar="ROW",
        default=ROW_NAMES,
        help=f"these rows (default: {', '.join(ROW_NAMES)})",
    )
    add_output(parser, "startup")
    return parser


def _tell(one: Start) -> None:
    print(
        f"round {one.round}  {one.row:<16}{one.seconds:6.2f} s  {one.resident / 2**20:6.1f} MiB"
        f"  {one.error or 'right'}"
        f"  others {one.others or 0:.0f} %",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    plan = Plan(rows=[ROWS[name] for name in options.only], rounds=options.rounds)
    try:
        starts, cores = run(plan, _tell)
    except LoadError as error:
        print(f"bench.startup: {error}", file=sys.stderr)
        return 2
    summaries = summarise(plan.rows, starts)
    write_json(options.json, as_json(plan, cores, starts, summaries))
    if options.markdown:
        print(markdown_table(summaries), end="\n\n")
    else:
        print_table(summaries)
    print("\n".join([*describe(plan, cores, summaries), *goal_lines(summaries)]))
    return 1 if any(one.errors for one in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
