"""Refusals are counted one by one and logged in sums."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import Reason
from gateway.http.callback import RandomBlocks
from gateway.http.refusals import LOG_INTERVAL, Refusals


class Clock:
    """A loop's call_later that waits until it is told."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def call_later(self, delay: float, callback: Callable[..., Any], *arguments: Any) -> None:
        assert delay == LOG_INTERVAL
        self.waiting.append((callback, arguments))

    def tick(self) -> None:
        """Let the interval pass."""
        due, self.waiting = self.waiting, []
        for callback, arguments in due:
            callback(*arguments)


def test_the_first_is_logged_at_once_and_the_rest_in_one_sum(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    refusals = Refusals(lambda: clock.call_later)
    for _ in range(1000):
        refusals.count("main", Reason.SIGNATURE)
    assert [r.getMessage().partition(" hint=")[0] for r in caplog.records] == [
        "callback refused account=main reason=signature count=1 total=1"
    ]
    clock.tick()
    assert "count=999 total=1000" in caplog.messages[1]
    clock.tick()
    assert clock.waiting == []
    assert len(caplog.records) == 2


def test_each_account_and_reason_has_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = Refusals(lambda: clock.call_later)
    for account in ("main", "other"):
        for reason in Reason:
            refusals.count(account, reason)
    assert len(caplog.records) == 2 * len(Reason)
    assert refusals.total["main", Reason.PADDING] == 1


def test_the_line_says_what_to_look_at(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(lambda: Clock().call_later)
    refusals.count("main", Reason.PADDING)
    assert "does encoding_aes_key differ from the console's?" in caplog.text


def test_random_blocks_are_all_different_and_fetched_in_bulk() -> None:
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        start = len(asked) * 1000
        return b"".join((start + n).to_bytes(16, "big") for n in range(size // 16))

    blocks = RandomBlocks(urandom)
    taken = [blocks() for _ in range(600)]
    assert len(set(taken)) == 600
    assert {len(block) for block in taken} == {16}
    assert len(asked) == 3
