"""`python -m bench.gates`: the command line of the gates."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.gates import instructions, ratios
from bench.gates.baseline import PATH, Baseline, load, make, save
from bench.gates.figures import (
    INSTRUCTIONS,
    RATIOS,
    Finding,
    compare,
    not_comparable,
    show,
    verdict,
)
from bench.gates.refusal import CannotRun
from bench.micro.suite import what_is_missing

_SHARES: Final = tuple(f"{100 * gate.limit:.0f} %" for gate in (RATIOS, INSTRUCTIONS))

_SHORTEST: Final = f"{1e6 * ratios.SHORTEST:.2f} us"

_EXAMPLES: Final = f"""\
examples:
  python -m bench.gates                          hold this code to the baseline, about a minute
  python -m bench.gates --only instructions      without the timings
  python -m bench.gates --renew --reason "the path in one kernel: 1.4 times as fast"

A ratio says how many times as fast one side of bench.micro is as another. It may lose {_SHARES[0]}
against the baseline, the median of {ratios.RUNS} runs. Least times count; the rows that lost more
are timed again, up to {ratios.AGAIN} times, and their best run counts. Ratios of steps under
{_SHORTEST} are too unsteady to be gated, and only shown.
Instructions of a call, counted by callgrind, may grow by {_SHARES[1]}, where Python, machine and
OpenSSL are those of the baseline. They need valgrind: {instructions.INSTALL}; where CI=true is
set they must be counted.

exit status: 0; 1 where a gate failed; 2 if the gates could not be tried.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gates",
        description="Hold the timed ratios and the counted instructions to the baseline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--renew", action="store_true", help="write the baseline anew")
    parser.add_argument("--reason", help="why it is renewed; stored in it")
    parser.add_argument("--only", choices=("ratios", "instructions"), help="one kind of gate")
    parser.add_argument(
        "--baseline",
        type=Path,
        default=PATH,
        metavar="FILE",
        help="(default: bench/baseline.json)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Try the gates, or renew the baseline, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.renew and not (options.reason or "").strip():
        parser.error("--renew needs --reason: why the figures are other ones now")
    if options.renew and options.only:
        parser.error("--renew measures everything; leave --only out")
    if options.reason and not options.renew:
        parser.error("--reason goes with --renew")
    try:
        _check_tools()
        if options.renew:
            return _renew(options.baseline, options.reason)
        return _try(load(options.baseline), options.only)
    except CannotRun as error:
        print(f"bench.gates: {error}", file=sys.stderr)
        return 2


def _check_tools() -> None:
    if missing := what_is_missing():
        raise CannotRun(f"needs {missing}")
    if find_spec("gateway.kernels._fields_c") is None:
        raise CannotRun("needs the compiled kernels: install a C compiler, then pip install -e .")
    if os.environ.get("CI") == "true" and not instructions.is_there():
        raise CannotRun(f"instructions must be counted in CI: {instructions.INSTALL}")


def _try(baseline: Baseline, only: str | None) -> int:
    findings: list[Finding] = []
    notes: list[str] = []
    if only != "ratios":
        counted, notes = _instructions(baseline)
        findings += counted
    if only != "instructions":
        findings += compare(baseline.ratios, ratios.hold(baseline.ratios), RATIOS)
    show(findings)
    print(f"Baseline: {baseline.date[:10]}, {baseline.machine['cpu']}: {baseline.reason}")
    print("\n".join([*notes, *verdict(findings)]))
    return int(any(one.failed for one in findings))


def _instructions(baseline: Baseline) -> tuple[list[Finding], list[str]]:
    """Return the findings about instructions, and what must be said of them."""
    if not instructions.is_there():
        return [], [f"Instructions were not counted: valgrind is absent ({instructions.INSTALL})."]
    findings = compare(baseline.instructions, instructions.count_all(), INSTRUCTIONS)
    here = instructions.environment()
    if not (differ := instructions.differences(baseline.environment, here)):
        return findings, []
    there, ours = (
        ", ".join(f"{name} {place.get(name)}" for name in differ)
        for place in (baseline.environment, here)
    )
    note = f"Instructions are not comparable, and gate nothing: here {ours}; baseline: {there}."
    return not_comparable(findings), [note]


def _renew(path: Path, reason: str) -> int:
    if not instructions.is_there():
        raise CannotRun(f"a baseline holds instructions, too: {instructions.INSTALL}")
    counted, timed = instructions.count_all(), ratios.measure()
    if path.exists():
        old = load(path)
        show(
            [
                *compare(old.instructions, counted, INSTRUCTIONS),
                *compare(old.ratios, timed, RATIOS),
            ]
        )
    save(make(reason, timed, counted, instructions.environment()), path)
    print("\n".join([*ratios.unsteady(timed), f"gates: the baseline is renewed: {path}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
