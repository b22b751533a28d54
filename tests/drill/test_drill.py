"""A short drill is part of the tests; the long one is `make drill`."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.drill.drill import run


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_shown_twice(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    ledger, faults = asyncio.run(run(tmp_path, seconds=35, rate=50, seed=seed))
    told = "\n".join([*ledger.lines(), f"{dict(faults)} seed {seed}"])
    assert ledger.sent == 35 * 50
    assert ledger.is_clean, told
    # Most of those that WeChat gave up on were slow, and lost their process in the middle.
    assert len(ledger.unacknowledged) <= ledger.sent // 50, told
    assert len(faults) == 8, told
