"""A short drill of pushing is part of the tests; the long one is `make drill`."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.outbound.jobs import State
from tests.drill.push import drill


@pytest.mark.timeout(300)
def test_every_message_ends_in_one_true_state_and_nobody_gets_one_twice(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    outcome = asyncio.run(drill(tmp_path, sends=2000, seconds=20, seed=seed))
    told = "\n".join([*outcome.lines(), f"{dict(outcome.harms)} seed {seed}"])
    assert outcome.is_clean, told
    assert outcome.pushed == 2000
    # What WeChat keeps apart is repeated until it is known; no person is asked.
    assert not [one for one in outcome.reasons if one.startswith("template")], told
    assert outcome.states[State.DELIVERED] >= 1400, told
    assert sum(outcome.harms.values()) >= 4, told
