"""Finding a route among routes that grow in number, by exact conditions and by patterns."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from bench.growth.clock import Side, WrongResult, microseconds
from bench.growth.scale import Scale
from bench.growth.section import (
    Cells,
    Picture,
    Row,
    Section,
    find,
    lines_of,
    sizes_of,
    spread,
)
from gateway import Bot, Text
from gateway.inbound.router import Router

ASKED: Final = ("first", "last", "none")
"""Which of the routes the message is for."""

KINDS: Final = ("exact", "pattern")


_Case = tuple[int, str, str]
"""How many routes there are, of which kind, and which of them is asked for."""


def measure(scale: Scale) -> list[Row]:
    """Measure each number of routes, of both kinds, asked for the first, the last and none."""
    sides = {
        case: side for count in scale.routes for kind in KINDS for case, side in _sides(count, kind)
    }
    return [
        {"routes": count, "kind": kind, "asked": asked, "us": us._asdict()}
        for (count, kind, asked), us in microseconds(sides, scale).items()
    ]


def _sides(count: int, kind: str) -> Iterator[tuple[_Case, Side]]:
    router = Router(_bot(kind, count))
    for asked, number in (("first", 0), ("last", count - 1), ("none", None)):
        message = Text(content="nothing of that" if number is None else f"order {number}")
        found = router.find(message)
        if (found is None) is not (number is None):
            raise WrongResult(f"{kind} {asked} of {count} routes: found {found}")
        yield (count, kind, asked), Side(partial(router.find, message))


def _bot(kind: str, count: int) -> Bot:
    async def handler() -> None:
        """Take the message."""

    bot = Bot()
    for number in range(count):
        text = f"order {number}"
        bot.on(Text, content=text if kind == "exact" else re.compile(f"^{text}$"))(handler)
    return bot


def growth(rows: Sequence[Row], kind: str, asked: str) -> float:
    """Return how many times as long it takes among the most routes as among the fewest.

    Of the least times: on a busy machine a median may double where nothing grows.
    """
    found = [row for row in rows if (row["kind"], row["asked"]) == (kind, asked)]
    most, fewest = (choose(found, key=lambda row: int(row["routes"])) for choose in (max, min))
    return spread(most).least / spread(fewest).least


def _headings(rows: Sequence[Row]) -> Cells:
    counts = sizes_of(rows, "routes")
    return (
        "asked for",
        *(f"{count:,} routes us" for count in counts),
        f"{max(counts):,} over {min(counts):,}",
    )


def _cells(rows: Sequence[Row]) -> list[Cells]:
    return [
        (
            f"{kind}, {asked}",
            *(
                spread(row).show(2)
                for count in sizes_of(rows, "routes")
                if (row := find(rows, routes=count, kind=kind, asked=asked))
            ),
            f"{growth(rows, kind, asked):.1f}",
        )
        for kind in KINDS
        for asked in ASKED
    ]


def _picture(rows: Sequence[Row]) -> Picture:
    return Picture(
        "finding a route",
        "routes",
        "us",
        lines_of(rows, "routes", "kind", "asked"),
    )


ROUTES: Final = Section(
    "routes",
    "finding a message's route among more and more routes",
    measure,
    _headings,
    _cells,
    _picture,
    (
        "Exact conditions are looked up. Patterns are tried in the order of their routes, so that",
        "the last of them, or none, costs in proportion to how many there are. What the most take",
        "over what the fewest take is of least times.",
    ),
)
