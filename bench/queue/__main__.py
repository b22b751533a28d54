"""`python -m bench.queue`: the command line of what waiting jobs cost."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final, cast

from bench.load.cores import choose_cores
from bench.load.generator import LoadError
from bench.options import end_by_exception, number, write_json
from bench.push.sides import SIDES
from bench.push.worker import WorkerSide
from bench.queue import claims, delay
from bench.queue.report import as_json, describe, plot, print_tables

_EXAMPLES: Final = """\
examples:
  python -m bench.queue                                      some four minutes
  python -m bench.queue --sizes 1000 10000 --seconds 3       a quick look

exit status: 0; 1 if a message was not received; 2 if the run could not be made. Traffic goes to
127.0.0.1 only.
"""

_WORKERS: Final = ("gateway-sqlite", "gateway-postgres")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.queue",
        description="What a claim takes with up to a million jobs waiting, and how soon a message "
        "is received after it was queued.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=number(10_000_000, 100),
        default=[1_000, 10_000, 100_000, 1_000_000],
        help="jobs that wait (default: 1000 10000 100000 1000000)",
    )
    parser.add_argument("--cycles", type=number(1000), default=50, help="claims at each size")
    parser.add_argument("--seconds", type=number(600), default=15, help="of messages at a rate")
    parser.add_argument(
        "--rate", type=number(100_000), default=3000, help="messages a second (default: 3000)"
    )
    parser.add_argument("--accounts", type=number(200), default=20, help="for the throttled ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every raw number goes")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where the picture goes")
    return parser


def _tell(one: object) -> None:
    print(one, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    cores = choose_cores()
    try:
        measured = claims.measure(sorted(options.sizes), options.cycles, _tell)
        delays = [
            delay.measure(
                cast("WorkerSide", SIDES[name]),
                cores,
                rate=options.rate,
                seconds=options.seconds,
                accounts=accounts,
                throttled=throttled,
                progress=_tell,
            )
            for name in _WORKERS
            for accounts, throttled in (
                (1, 0),
                (options.accounts, 0),
                (options.accounts, max(1, options.accounts // 20)),
            )
        ]
    except LoadError as error:
        print(f"bench.queue: {error}", file=sys.stderr)
        return 2
    told: dict[str, Any] = {
        name: getattr(options, name) for name in ("sizes", "cycles", "seconds", "rate", "accounts")
    }
    document = as_json(told, measured, delays)
    if options.json is not None:
        write_json(options.json, document)
    if options.plot is not None:
        plot(document, options.plot)
    print_tables(document)
    print("\n".join(describe(document)))
    return 1 if any(one.missing for one in delays) else 0


if __name__ == "__main__":
    sys.exit(main())
