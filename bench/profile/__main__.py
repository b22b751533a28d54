"""`python -m bench.profile`: the command line of the profiles."""

import argparse
import sys
from typing import Any, Final

from bench.load.choice import choose_generator
from bench.load.generator import LoadError
from bench.load.servers import ROWS
from bench.options import add_output, add_traffic, end_by_exception, number, write_json
from bench.profile import steps
from bench.profile.report import (
    as_json,
    describe_served,
    describe_steps,
    served_json,
    show_served,
    show_steps,
    steps_json,
    summarise,
)
from bench.profile.served import Plan, Round, run

SERVED: Final = "served"
STEPS: Final = "steps"
ROW_NAMES: Final = ("gateway", "gateway-redis", "gateway-sqlite", "granian-rsgi")

_EXAMPLES: Final = """\
examples:
  python -m bench.profile                                  about a minute and a half
  python -m bench.profile --row gateway-redis --rounds 1   another server, a quick look
  python -m bench.profile --only steps                     without perf, in this process
  python -m bench.profile --markdown > tables.md           the tables for a document

A server is sampled by perf (apt install linux-perf). Where kernel.perf_event_paranoid is 2 or more
that takes root; where kernel.kptr_restrict is 2, Linux's functions have no names.

exit status: 0; 1 if any reply was wrong or missing; 2 if the run could not be made. Traffic goes to
127.0.0.1 only.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile",
        description="Where each microsecond of a callback goes: in a server under load by what "
        "runs, and in the gateway's own work by step.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", choices=(SERVED, STEPS), help="sample a server, or time the steps (default: both)"
    )
    parser.add_argument(
        "--row",
        choices=ROW_NAMES,
        default=ROW_NAMES[0],
        help=f"the server: {', '.join(ROW_NAMES)} (default: {ROW_NAMES[0]})",
    )
    parser.add_argument(
        "--seconds", type=number(600), default=4, help="of samples a round (default: 4)"
    )
    parser.add_argument("--rounds", type=number(100), default=3, help="(default: 3)")
    add_traffic(parser, 300_000, "the server takes in a round")
    parser.add_argument(
        "--messages", type=number(1_000_000), default=2000, help="of each step (default: 2000)"
    )
    parser.add_argument(
        "--repeats", type=number(10_000), default=20, help="of each step (default: 20)"
    )
    add_output(parser, "profile")
    return parser


def _tell(one: Round) -> None:
    errors = ", ".join(f"{count} {kind}" for kind, count in one.errors.items()) or "no errors"
    print(
        f"round {one.round}  {one.requests_per_second:>9,.0f} requests/s"
        f"  {one.us:.1f} us each  {errors}  others {one.server_core_others or 0:.0f} %",
        file=sys.stderr,
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    parts: dict[str, Any] = {}
    wrong = False
    try:
        if options.only != STEPS:
            parts[SERVED], wrong = _served(options)
        if options.only != SERVED:
            parts[STEPS] = _steps(options)
    except LoadError as error:
        print(f"bench.profile: {error}", file=sys.stderr)
        return 2
    except steps.WrongReply as error:
        print(f"bench.profile: {error}", file=sys.stderr)
        return 1
    write_json(options.json, as_json(parts))
    return int(wrong)


def _served(options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Sample a server and show it; return it for the JSON, and whether replies were wrong."""
    plan = Plan(
        row=ROWS[options.row],
        generator=choose_generator(options.generator),
        seconds=options.seconds,
        rounds=options.rounds,
        connections=options.connections,
        callbacks=options.callbacks,
    )
    rounds, cores = run(plan, _tell)
    show_served(summarise(rounds), markdown=options.markdown)
    print("\n".join(describe_served(plan, cores, rounds)), end="\n\n")
    return served_json(plan, cores, rounds), any(one.errors for one in rounds)


def _steps(options: argparse.Namespace) -> dict[str, Any]:
    """Time the steps and show them; return what goes into the JSON."""
    timed = steps.measure(options.messages, options.repeats)
    show_steps(timed, markdown=options.markdown)
    print("\n".join(describe_steps(options.messages, options.repeats)))
    return steps_json(timed, options.messages, options.repeats)


if __name__ == "__main__":
    sys.exit(main())
