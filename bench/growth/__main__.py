"""`python -m bench.growth`: looks for what it needs, then measures."""

import sys
from importlib.util import find_spec
from typing import Final

_NEEDS: Final = ("wechatpy", "pytest", "matplotlib")


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements and return the exit status."""
    absent = [name for name in _NEEDS if find_spec(name) is None]
    if absent:
        install = "pip install -r deploy/requirements-dev.txt"
        print(f"bench.growth: needs {', '.join(absent)}: {install}", file=sys.stderr)
        return 2
    if find_spec("gateway.kernels._fields_c") is None:
        install = "install a C compiler, then pip install -e ."
        print(f"bench.growth: needs the compiled kernels: {install}", file=sys.stderr)
        return 2
    from bench.growth.command import run  # noqa: PLC0415 - only once what it imports is there

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
