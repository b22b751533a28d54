"""Which load generator is taken."""

import shutil

from bench.load.generator import Generator, LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.wrk_generator import WrkGenerator


def choose_generator(name: str | None = None) -> Generator:
    """Return the generator asked for; if none is, wrk where it is installed, else Python."""
    installed = shutil.which("wrk") is not None
    if name == "wrk" and not installed:
        raise LoadError("wrk is not installed: apt install wrk, or take --generator python")
    return WrkGenerator() if installed and name != "python" else PythonGenerator()
