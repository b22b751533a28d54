"""`python -m bench.stress PROFILE`: the command line of the stress runs."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from bench.load.generator import LoadError
from bench.load.servers import ROWS
from bench.stress.plot import draw
from bench.stress.profiles import DEFAULT, MOST_RATE, MOST_SECONDS, PROFILES
from bench.stress.report import as_json, show
from bench.stress.runner import Plan, run

_ROWS: Final = {name: row for name, row in ROWS.items() if row.answers != "instant"}

_EXAMPLES: Final = """\
examples:
  python -m bench.stress                            does everything work: half a minute
  python -m bench.stress spike --row gateway-redis
  python -m bench.stress soak --seconds 14400       four hours of it
  locust -f bench/locustfile.py --host http://127.0.0.1:8000 --profile steady
                                                    the same users, with locust's web page

profiles:
{profiles}

rows: {rows}; those that are no gateway fail, as they should

exit status: 0; 1 if any reply was wrong, missing or failed; 2 if the run could not be made.
Traffic goes to 127.0.0.1 only.
"""


def _number(most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a number from 1 to {most}")
        return int(text)

    return number


def _parser() -> argparse.ArgumentParser:
    profiles = "\n".join(
        f"  {name:<8}{one.about}: {one.seconds} s, up to {one.rate} messages/s"
        for name, one in PROFILES.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m bench.stress",
        description="Call a gateway as WeChat's users do, over a profile; check every reply.",
        epilog=_EXAMPLES.format(profiles=profiles, rows=", ".join(_ROWS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "profile", nargs="?", choices=PROFILES, default=DEFAULT, help=f"(default: {DEFAULT})"
    )
    parser.add_argument(
        "--seconds", type=_number(MOST_SECONDS), help="of the load (default: the profile's)"
    )
    parser.add_argument(
        "--rate", type=_number(MOST_RATE), help="messages/s at most (default: the profile's)"
    )
    parser.add_argument(
        "--row",
        choices=_ROWS,
        metavar="ROW",
        default="gateway-sqlite",
        help="the server (default: gateway-sqlite, the gateway's default store)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        default=Path("bench/results"),
        help="where the .json, .html and .svg go (default: bench/results)",
    )
    return parser


def _terminated(number: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that server and locust are ended on the way out.
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    """Make a run and return the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    plan = Plan(
        name=options.profile,
        profile=PROFILES[options.profile].scaled(options.seconds, options.rate),
        row=_ROWS[options.row],
        results=options.results,
    )
    print(
        f"{plan.name}: {plan.row.title}, {plan.profile.seconds} s, "
        f"up to {plan.profile.rate} messages/s",
        file=sys.stderr,
    )
    try:
        document = as_json(plan, run(plan))
        file = plan.file("json")
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
        draw(document, plan.file("svg"))
    except (LoadError, OSError) as error:
        print(f"bench.stress: {error}", file=sys.stderr)
        return 2
    show(document)
    print(f"Written: {', '.join(str(plan.file(ending)) for ending in ('json', 'html', 'svg'))}")
    return 1 if document["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
