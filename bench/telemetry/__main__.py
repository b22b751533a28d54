"""`python -m bench.telemetry`: the command line."""

import argparse
import sys
from typing import Final

from bench.load.choice import choose_generator
from bench.load.generator import LoadError
from bench.options import add_output, add_traffic, end_by_exception, number, write_json
from bench.telemetry.report import (
    as_json,
    describe,
    errors_of,
    goal_lines,
    markdown_table,
    print_table,
)
from bench.telemetry.runner import Plan, Turn, run

_EXAMPLES: Final = """\
examples:
  python -m bench.telemetry                           about fourteen minutes
  python -m bench.telemetry --starts 1                a quick look
  python -m bench.telemetry --markdown > table.md     the table for a document

exit status: 0, also where it costs too much; 1 if any reply was wrong or missing; 2 if the run
could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.telemetry",
        description="What metrics, traces and onlookers cost a callback.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=number(60), default=1, help="of each turn of a row (default: 1)"
    )
    parser.add_argument(
        "--rounds", type=number(100), default=5, help="after each start (default: 5)"
    )
    parser.add_argument(
        "--starts", type=number(100), default=12, help="of all the servers (default: 12)"
    )
    add_traffic(parser, 1_000_000)
    add_output(parser, "telemetry")
    return parser


def _tell(turn: Turn) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in turn.errors.items()) or "no errors"
    print(
        f"round {turn.round}  {turn.row:<12}{turn.requests_per_second:>9,.0f} requests/s  "
        f"{turn.cpu_us or 0:.1f} us  {errors}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    try:
        plan = Plan(
            generator=choose_generator(options.generator),
            seconds=options.seconds,
            rounds=options.rounds,
            starts=options.starts,
            connections=options.connections,
            callbacks=options.callbacks,
        )
        document = as_json(plan, run(plan, _tell))
    except LoadError as error:
        print(f"bench.telemetry: {error}", file=sys.stderr)
        return 2
    write_json(options.json, document)
    if options.markdown:
        print(markdown_table(document), end="\n\n")
    else:
        print_table(document)
    print("\n".join([*describe(document), *goal_lines(document)]))
    return 1 if errors_of(document) else 0


if __name__ == "__main__":
    sys.exit(main())
