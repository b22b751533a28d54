"""Which series and labels a PromQL expression names; its syntax is promtool's to judge."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<range>\[[^\]]*\])
      | (?P<number>\d[\w.]*)
      | (?P<name>[A-Za-z_:][\w:]*)
      | (?P<matches>=~|!~|!=|=)
      | (?P<other>\S)""",
    re.VERBOSE,
)
_GROUPING: Final = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS: Final = {"and", "or", "unless", "offset", "bool"}


class Selector(NamedTuple):
    """A series that is asked for."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, how it is compared, value."""


class Names(NamedTuple):
    """What an expression names."""

    selectors: tuple[Selector, ...]
    grouped: frozenset[str]
    """Labels that it groups or matches by."""


def names_in(expression: str) -> Names:
    """Return what an expression names."""
    found = [(str(one.lastgroup), one[0]) for one in _TOKEN.finditer(expression)]
    tokens = iter([one for one in found if one[0] != "comment"])
    selectors: list[Selector] = []
    grouped: set[str] = set()
    before: tuple[str, str] | None = None
    for token in tokens:
        text = token[1]
        if before is not None and before[0] == "name":
            grouped |= _after_name(before[1], text, tokens, selectors)
        elif text == "{":
            raise ValueError(f"a selector without a name: {expression}")
        before = token
    if before is not None and before[0] == "name":
        selectors.append(Selector(before[1], ()))
    return Names(tuple(selectors), frozenset(grouped))


def _after_name(
    name: str, text: str, tokens: Iterator[tuple[str, str]], selectors: list[Selector]
) -> set[str]:
    """Take what a name means by what stands behind it; return the labels that it groups by."""
    if name in _GROUPING and text == "(":
        return {word for kind, word in _until(")", tokens) if kind == "name"}
    if text == "{":
        words = [word for _, word in _until("}", tokens) if word != ","]
        triples = zip(words[::3], words[1::3], words[2::3], strict=True)
        selectors.append(Selector(name, tuple((a, b, c[1:-1]) for a, b, c in triples)))
    elif text != "(" and text not in _GROUPING and name not in _WORDS:
        selectors.append(Selector(name, ()))
    return set()


def _until(end: str, tokens: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for token in tokens:
        if token[1] == end:
            return
        yield token
