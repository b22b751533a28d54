"""What a Context tells, worked out only when asked, and how deliveries are counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inbound.attempts import KEEP_SECONDS, MAX_KEYS, Attempts
from tests.inbound.driving import TRACE, make_context


def test_each_part_is_worked_out_once_and_only_when_asked() -> None:
    asked: list[str] = []

    def tell(name: str, value: Any) -> Any:
        def told() -> Any:
            asked.append(name)
            return value

        return told

    context = make_context(trace_id=tell("trace", TRACE), attempt=2)
    assert context.account.name == "main"
    assert asked == []
    assert (context.attempt, context.attempt) == (2, 2)
    assert asked == []
    assert (context.trace_id, context.trace_id) == (TRACE, TRACE)
    assert asked == ["trace"]


@pytest.mark.parametrize(
    ("raw", "query"),
    [
        (b"", {}),
        (b"timestamp=1&nonce=2", {"timestamp": "1", "nonce": "2"}),
        (b"tenant=%E5%BA%97&x=a+b%26c", {"tenant": "店", "x": "a b&c"}),
        (b"empty=&bare", {"empty": "", "bare": ""}),
        (b"twice=1&twice=2", {"twice": "2"}),
        (b"odd=%zz&&=&%", {"odd": "%zz", "": "", "%": ""}),
        (b"bytes=%ff", {"bytes": "\ufffd"}),
    ],
)
def test_the_query_is_what_the_url_held(raw: bytes, query: dict[str, str]) -> None:
    assert dict(make_context(raw).query) == query


@given(st.binary(max_size=60))
def test_any_query_can_be_read(raw: bytes) -> None:
    assert all(isinstance(value, str) for value in make_context(raw).query.values())


def test_the_query_cannot_be_changed() -> None:
    query: Any = make_context(b"a=1").query
    with pytest.raises(TypeError):
        query["a"] = "2"


def test_deliveries_are_counted_by_key() -> None:
    attempts = Attempts()
    assert [attempts.count(key, 0.0) for key in (b"a", b"a", b"b", b"a", b"a", b"b")] == [
        1,
        2,
        1,
        3,
        4,
        2,
    ]


def test_a_key_is_counted_anew_after_its_time() -> None:
    """From the first delivery on: each later one does not prolong it."""
    attempts = Attempts()
    assert attempts.count(b"a", 100.0) == 1
    assert attempts.count(b"a", 100.0 + KEEP_SECONDS) == 2
    assert attempts.count(b"a", 100.1 + KEEP_SECONDS) == 1
    assert attempts.count(b"a", 100.2 + KEEP_SECONDS) == 2


def test_only_so_many_keys_are_remembered_the_oldest_goes_first() -> None:
    attempts = Attempts()
    for number in range(MAX_KEYS):
        attempts.count(b"%d" % number, 0.0)
    assert attempts.count(b"0", 0.0) == 2
    assert attempts.count(b"new", 0.0) == 1
    assert len(attempts._seen) == MAX_KEYS
    assert attempts.count(b"0", 0.0) == 3
    assert attempts.count(b"1", 0.0) == 1


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 200)), max_size=30))
def test_a_count_never_exceeds_the_deliveries_seen(deliveries: list[tuple[bytes, float]]) -> None:
    """Whatever the clock does, backwards too."""
    attempts = Attempts()
    for number, (key, now) in enumerate(deliveries):
        seen = sum(1 for before, _ in deliveries[: number + 1] if before == key)
        assert 1 <= attempts.count(key, now) <= seen
