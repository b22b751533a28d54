"""`python -m bench.push`: the command line of the comparison of what sends template messages."""

import argparse
import sys
from pathlib import Path
from typing import Final

from bench.load.generator import LoadError
from bench.options import end_by_exception, number, write_json
from bench.push.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    summarise,
)
from bench.push.runner import Measurement, Plan, run
from bench.push.sides import SIDES

_EXAMPLES: Final = """\
examples:
  python -m bench.push                                        some five minutes
  python -m bench.push --rounds 1 --sends 5000 --latency 0    a quick look
  python -m bench.push --only wechatpy gateway-transport      two rows

exit status: 0, also where the goal is not met; 1 if a message was received never or twice, or its
sender says that it failed; 2 if the run could not be made. Traffic goes to 127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.push",
        description="Template messages a second that one core sends, as the ledger of a simulated "
        "platform on another core has them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=number(100), default=3, help="over all (default: 3)")
    parser.add_argument(
        "--sends", type=number(10_000_000, 100), default=30_000, help="each time (default: 30000)"
    )
    parser.add_argument(
        "--latency",
        nargs="+",
        type=number(10_000, 0),
        default=[0, 50],
        metavar="MS",
        help="of the platform, in milliseconds (default: 0 50)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SIDES,
        metavar="ROW",
        default=list(SIDES),
        help=f"these rows (default: {', '.join(SIDES)})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every raw number goes")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


def _tell(one: Measurement) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.items()) or "no errors"
    print(
        f"round {one.round}  {1000 * one.latency:3.0f} ms  {one.side:<18}"
        f"{one.sends_per_second:>9,.0f} sends/s  CPU {one.cpu_us:6.1f} us"
        f"  {'exact' if one.is_exact else 'not exact'}  {errors}",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    plan = Plan(
        sides=[SIDES[name] for name in options.only],
        latencies=tuple(ms / 1000 for ms in options.latency),
        rounds=options.rounds,
        sends=options.sends,
    )
    try:
        measured, cores = run(plan, _tell)
    except LoadError as error:
        print(f"bench.push: {error}", file=sys.stderr)
        return 2
    summaries = summarise(measured)
    if options.json is not None:
        write_json(options.json, as_json(plan, cores, measured, summaries))
    if options.markdown:
        print(markdown_table(summaries), end="\n\n")
    else:
        print_table(summaries)
    print("\n".join([*describe(plan, cores, summaries), *goal_lines(plan, summaries)]))
    return 0 if all(one.is_exact and not one.errors for one in summaries) else 1


if __name__ == "__main__":
    sys.exit(main())
