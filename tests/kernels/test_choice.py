"""Which implementation is chosen, and that it is never chosen silently."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.compiled

PRINT = "from gateway.kernels import IMPLEMENTATION; print(IMPLEMENTATION)"

HIDE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {hidden!r}:
            raise {error}
sys.meta_path.insert(0, Absent())
"""


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k != "GATEWAY_NO_EXTENSIONS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=clean | environment,
        check=False,
    )


def test_what_was_built_is_what_runs() -> None:
    assert _run(PRINT).stdout == "compiled\n"


def test_the_switch_turns_the_extensions_off() -> None:
    assert _run(PRINT, GATEWAY_NO_EXTENSIONS="1").stdout == "pure\n"


def test_an_absent_module_means_pure() -> None:
    name = "gateway.kernels._fields_c"
    hide = HIDE.format(hidden=[name], error=f"ModuleNotFoundError('gone', name={name!r})")
    assert _run(hide + PRINT).stdout == "pure\n"


@pytest.mark.parametrize(
    "error",
    [
        "ImportError('undefined symbol: PyNothing')",
        "ModuleNotFoundError('No module named elsewhere', name='elsewhere')",
    ],
)
def test_a_module_that_is_there_but_broken_is_an_error(error: str) -> None:
    ran = _run(HIDE.format(hidden=["gateway.kernels._fields_c"], error=error) + PRINT)
    assert ran.returncode == 1
    assert error.partition("(")[0] in ran.stderr
