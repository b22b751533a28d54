"""What a Context tells, worked out only when it is asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Context
from tests.inbound.driving import TRACE, make_context
from tests.support import make_account


def test_a_trace_id_is_looked_for_once_and_only_when_asked() -> None:
    asked: list[str] = []

    class Asked(Context):
        def find_trace_id(self) -> str:
            asked.append("trace")
            return TRACE

    context = Asked(make_account(), b"", attempt=2)
    assert (context.account.name, context.attempt) == ("main", 2)
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
