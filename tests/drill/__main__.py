"""`python -m tests.drill`, also `make drill`: run the drill, print its ledger and its seed."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.drill.drill import run


def main() -> int:
    """Run the drill; return 0 where nothing was lost and nothing shown twice, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill",
        description="Load gateways and a worker while they, Redis and Postgres are killed and cut.",
        epilog="example: python -m tests.drill --seconds 600 --seed 7",
    )
    parser.add_argument("--seconds", type=int, default=120, help="of load (default: 120)")
    parser.add_argument("--rate", type=float, default=60, help="messages a second (default: 60)")
    parser.add_argument("--seed", type=int, help="of what is hurt when; a new one by default")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "big")
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        ledger, faults = asyncio.run(run(Path(folder), options.seconds, options.rate, seed))
    for what, count in sorted(faults.items()):
        print(f"{what:<28}{count:>8,}")
    print(*ledger.lines(), f"seed {seed}", sep="\n")
    return 0 if ledger.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
