"""Instructions that a call takes, counted by callgrind: the same however busy the machine is.

What is counted depends on the code that runs, so counts compare only where Python, the machine's
type, OpenSSL and the tool itself are the same: where the environments are equal.
"""

import os
import platform
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.gates.counted import CALLS, MARK
from bench.gates.figures import Figure
from bench.gates.refusal import CannotRun
from bench.micro.sides import Side

_ROOT: Final = Path(__file__).resolve().parents[2]
_TIMEOUT: Final = 300.0
_STDERR_LINES: Final = 20
_SECTIONS: Final = 3
"""Of each step: a warm-up, CALLS calls, twice as many."""

INSTALL: Final = "apt install valgrind"

Environment = dict[str, str]
"""What decides which code runs, by name."""


def is_there() -> bool:
    """Tell whether instructions can be counted here."""
    return shutil.which("valgrind") is not None


def environment() -> Environment:
    """Return what decides which code runs here."""
    guided = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    told = subprocess.run(
        ["valgrind", "--version"], capture_output=True, text=True, check=True, timeout=30
    )
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python build": f"{platform.python_compiler()}{', profile-guided' if guided else ''}",
        "machine": platform.machine(),
        "openssl": ssl.OPENSSL_VERSION,
        # It says what the processor can do, and libraries choose their code by that.
        "valgrind": told.stdout.strip(),
    }


def differences(one: Environment, other: Environment) -> list[str]:
    """Return the names under which two environments differ."""
    return [name for name in one | other if one.get(name) != other.get(name)]


def count_all() -> list[Figure]:
    """Count the steps over both implementations; raise CannotRun."""
    return [*count(Side.COMPILED), *count(Side.PURE)]


def count(kernels: Side) -> list[Figure]:
    """Return the instructions of a call of each step over these kernels; raise CannotRun."""
    with TemporaryDirectory(prefix="gateway-gates-") as directory:
        out = Path(directory) / "counts"
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"),
            *(f"--dump-before={MARK}", sys.executable, "-m", "bench.gates.counted", kernels),
        ]
        pure = {"GATEWAY_NO_EXTENSIONS": "1" if kernels is Side.PURE else ""}
        try:
            ran = subprocess.run(
                command,
                cwd=_ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT,
                env=os.environ | pure | {"PYTHONHASHSEED": "0"},
            )
        except subprocess.TimeoutExpired:
            raise CannotRun(f"callgrind took more than {_TIMEOUT:.0f} s") from None
        if ran.returncode != 0:
            said = "\n".join(ran.stderr.splitlines()[-_STDERR_LINES:])
            raise CannotRun(f"the {kernels} steps failed under callgrind:\n{said}")
        return list(_figures(ran.stdout.splitlines(), _totals(out)))


def _totals(out: Path) -> list[int]:
    """Return the instructions of each section, in order; the last file is what came behind them."""
    totals: list[int] = []
    while (dump := out.with_name(f"{out.name}.{len(totals) + 1}")).exists():
        lines = dump.read_text(encoding="utf-8", errors="replace").splitlines()
        totals += [int(line.split()[1]) for line in lines if line.startswith("totals:")]
    return totals


def _figures(lines: list[str], totals: list[int]) -> Iterator[Figure]:
    if len(totals) != _SECTIONS * len(lines):
        raise CannotRun(
            f"callgrind wrote {len(totals)} sections of {_SECTIONS * len(lines)}: does this "
            f"Python's os.getppid call the C library's {MARK}?"
        )
    for number, line in enumerate(lines):
        side, _, row = line.partition(" ")
        once, twice = totals[_SECTIONS * number + 1 : _SECTIONS * (number + 1)]
        # What the sections have in common, as their ends, goes out.
        yield Figure(row, f"instructions, {side}", float(round((twice - once) / CALLS)))
