"""How the gateway's own modules log: a constant sentence, and fields by name."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
METHODS: Final = frozenset(("debug", "info", "warning", "error", "critical", "exception"))


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name("_log"), attr=method)):
                    assert method in METHODS
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


CALLS: Final = dict(_calls())


def test_there_are_calls_to_look_at() -> None:
    assert len(CALLS) > 70


@pytest.mark.parametrize("place", CALLS)
def test_an_event_is_one_constant_sentence_and_the_rest_are_fields(place: str) -> None:
    """So that lines can be counted by their events, and values be found by their names."""
    (event,) = CALLS[place].args
    assert isinstance(event, ast.Constant)
    assert isinstance(event.value, str)
    assert "%" not in event.value
