"""The command, run in this process or in one of its own."""

import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from gateway.cli import main


class Ran(NamedTuple):
    """How a run of the command ended, and what it wrote."""

    code: int
    out: str
    err: str


class Command:
    """The command in this process, entered where an installed ``gateway`` enters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run it with arguments."""
        self._monkeypatch.setattr(sys, "argv", ["gateway", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ran(int(code or 0), *self._capsys.readouterr())


def run_process(*arguments: str, **variables: str) -> Ran:
    """Run ``python -m gateway``."""
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env=os.environ | variables,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)
