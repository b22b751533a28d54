"""`python -m bench.micro`: the command line of the timings."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from bench.micro.report import (
    as_json,
    describe,
    goal_lines,
    markdown_table,
    print_table,
    read_rows,
    unmet_goals,
)
from bench.micro.suite import run_suite, what_is_missing

_EXAMPLES: Final = """\
examples:
  python -m bench.micro                         everything, about a minute
  python -m bench.micro --seconds 0.1           a quick look
  python -m bench.micro --check                 fail where a goal is not met
  python -m bench.micro --markdown > table.md   the table for a document

rows: see bench/README.md. Sides: the compiled kernels, the pure Python ones, wechatpy.

exit status: 0, also where a goal is not met, unless --check is given: then 1; 2 if the run could
not be made or a timed step gave a wrong result. Nothing is sent over a network.
"""


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 60:
        raise argparse.ArgumentTypeError("must be from 0.01 to 60")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro",
        description="Time the kernels and the whole pure path, and the same steps in wechatpy.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=1.0, help="for each row and side (default: 1)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("bench/results/micro.json"),
        metavar="FILE",
        help="where every statistic goes (default: bench/results/micro.json)",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is not met")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the timings and return the exit status."""
    options = _parser().parse_args(arguments)
    if missing := what_is_missing():
        print(f"bench.micro: needs {missing}", file=sys.stderr)
        return 2
    report = run_suite(options.seconds)
    if report is None:
        print("bench.micro: the run failed; what pytest said is above", file=sys.stderr)
        return 2
    rows, aes = read_rows(report), _aes_of_wechatpy()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = as_json(report, rows, aes)
    options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if options.markdown:
        print(markdown_table(rows), end="\n\n")
    else:
        print_table(rows)
    print("\n".join([*describe(report, aes), "", *goal_lines(rows)]))
    return 1 if options.check and unmet_goals(rows) else 0


def _aes_of_wechatpy() -> str:
    """Return the package that does wechatpy's AES: it takes cryptography where that is there."""
    from wechatpy.crypto.base import WeChatCipher  # noqa: PLC0415 - only once it is known to be there

    took = str(WeChatCipher.__module__).rpartition(".")[2]
    return "pycryptodome" if took == "pycrypto" else took


if __name__ == "__main__":
    sys.exit(main())
