"""`python -m bench.identity`: the command line of what signing in and being known cost."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from bench.identity import lookups, sign_ins, verifies
from bench.identity.report import as_json, describe, print_tables
from bench.load.cores import choose_cores
from bench.load.generator import LoadError
from bench.options import end_by_exception, number, write_json

_EXAMPLES: Final = """\
examples:
  python -m bench.identity                                        some five minutes
  python -m bench.identity --only verifies --rounds 1             a quick look
  python -m bench.identity --only lookups --identities 100000

exit status: 0, also where a goal is not met; 1 if an answer was wrong; 2 if the run could not be
made. Traffic goes to 127.0.0.1 only.
"""

_PARTS: Final = ("verifies", "sign-ins", "lookups")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.identity",
        description="Sessions verified a second through Granian, sign-ins at a simulated WeChat, "
        "and look-ups among a million people.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=number(100), default=3, help="of each row (default: 3)")
    parser.add_argument("--seconds", type=number(600), default=6, help="of verifies (default: 6)")
    parser.add_argument(
        "--sign-ins", type=number(100_000, 20), default=500, help="a round (default: 500)"
    )
    parser.add_argument(
        "--identities", type=number(10_000_000, 100), default=1_000_000, help="for the look-ups"
    )
    parser.add_argument(
        "--only", nargs="+", choices=_PARTS, default=list(_PARTS), metavar="PART", help="these"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every raw number goes")
    return parser


def _tell(one: object) -> None:
    print(one, file=sys.stderr, flush=True)


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    cores = choose_cores()
    made: dict[str, Any] = {"verifies": [], "ends": None, "sign_ins": []}
    made |= {"filled": None, "lookups": []}
    if "verifies" in options.only:
        for row in verifies.ROWS:
            rounds, ends = verifies.measure(row, cores, options.seconds, options.rounds, _tell)
            made["verifies"] += [one._asdict() for one in rounds]
            made["ends"] = made["ends"] or (ends and ends._asdict())
    if "sign-ins" in options.only:
        for servers in (False, True):
            signed_in = sign_ins.measure(
                servers=servers,
                cores=cores,
                count=options.sign_ins,
                rounds=options.rounds,
                progress=_tell,
            )
            made["sign_ins"] += [one._asdict() for one in signed_in]
    if "lookups" in options.only:
        looks = min(lookups.LOOKS, options.identities)
        filled, found = lookups.measure(options.identities, looks, _tell)
        made["filled"] = filled._asdict()
        made["lookups"] = [one._asdict() for one in found]
    given = {
        name: getattr(options, name) for name in ("rounds", "seconds", "sign_ins", "identities")
    }
    return as_json(given, cores, made)


def main(arguments: list[str] | None = None) -> int:
    """Make the run and return the exit status."""
    options = _parser().parse_args(arguments)
    end_by_exception()
    try:
        document = _measure(options)
    except LoadError as wrong:
        _tell(f"bench.identity: {wrong}")
        return 2
    print_tables(document)
    for line in describe(document):
        print(line)
    if options.json is not None:
        write_json(options.json, document)
    return int(any(one["wrong"] for one in document["verifies"]))


if __name__ == "__main__":
    sys.exit(main())
