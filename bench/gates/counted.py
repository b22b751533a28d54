"""`python -m bench.gates.counted compiled`: what runs under callgrind; see instructions.py.

It asks for its parent's process id where one section ends and the next begins: callgrind is told to
write down what it counted since the last time whenever that function is entered. Of each step it
prints a line, `side row`, and runs three sections: a warm-up, CALLS calls, twice as many.
"""

import gc
import os
import sys
from typing import Final

import pytest

from bench.gates.steps import Step, steps
from tests.support import use_kernels

MARK: Final = "getppid"
"""The function of the C library that ends a section."""

CALLS: Final = 256
"""So many take 16 random bytes each from a pool of so many blocks, which is thus filled once."""

_WARM_UP: Final = 128
"""Calls until the interpreter has made its code fit what it meets."""


def main() -> None:
    """Run the steps over the kernels that the argument names."""
    with pytest.MonkeyPatch.context() as patch:
        # A collection falls into one section or another by how many objects there were at start.
        gc.collect()
        gc.disable()
        for step in steps(use_kernels(patch, sys.argv[1])):
            print(step.side, step.row, flush=True)
            for calls in (_WARM_UP, CALLS, 2 * CALLS):
                _section(step, calls)


def _section(step: Step, calls: int) -> None:
    call = step.call
    for _ in range(calls):
        call()
    os.getppid()


if __name__ == "__main__":
    main()
