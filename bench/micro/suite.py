"""One run of the timings, as pytest-benchmark reports it."""

import json
import os
import subprocess
import sys
from collections.abc import Container, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_HERE: Final = Path(__file__).resolve().parent

_ROUND: Final = 0.001
"""Seconds of one round at least: calls are repeated until the clock's steps do not matter."""


def what_is_missing() -> str | None:
    """Return what is to be installed before the timings can run, and how; None if it is there."""
    if find_spec("wechatpy") is None or find_spec("pytest_benchmark") is None:
        return "wechatpy and pytest-benchmark: pip install -r deploy/requirements-dev.txt"
    return None


def run_suite(
    seconds: float, tests: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return pytest-benchmark's report of a run, or None where a test failed.

    Each test takes ``seconds``. ``tests`` are those of a report's tests to run, by default all;
    ``environment`` is added to this process's own.
    """
    with TemporaryDirectory() as directory:
        file = Path(directory) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", *(tests or [str(_HERE)])),
            *("-q", "-p", "no:cacheprovider"),
            *("--benchmark-enable", "--benchmark-quiet", f"--benchmark-json={file}"),
            *(f"--benchmark-min-time={_ROUND}", f"--benchmark-max-time={seconds}"),
            # A test takes its seconds and some to find out how often to repeat its step.
            f"--timeout={60 + 2 * seconds:.0f}",
        ]
        # What pytest says of its progress is not part of the table.
        ran = subprocess.run(
            command,
            cwd=_ROOT,
            stdout=sys.stderr,
            check=False,
            env=os.environ | (environment or {}),
        )
        if ran.returncode != 0:
            return None
        report: dict[str, Any] = json.loads(file.read_text())
        return report


def tests_of(report: dict[str, Any], rows: Container[str]) -> list[str]:
    """Return the tests that timed these rows, as run_suite takes them."""
    return [one["fullname"] for one in report["benchmarks"] if one["group"] in rows]
