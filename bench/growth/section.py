"""What a section of the results is: measured, written down, shown."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench.growth.scale import Scale
from bench.load.report import Spread

Row = dict[str, Any]
"""A measurement as it stands in the JSON."""

Cells = tuple[str, ...]


class Line(NamedTuple):
    """A line of a picture."""

    label: str
    points: list[tuple[float, float]]


class Picture(NamedTuple):
    """How a section is drawn; both axes are logarithmic."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]


class Section(NamedTuple):
    """One thing that grows."""

    name: str
    about: str
    measure: Callable[[Scale], list[Row]]
    """Raises WrongResult."""
    headings: Callable[[Sequence[Row]], Cells]
    cells: Callable[[Sequence[Row]], list[Cells]]
    picture: Callable[[Sequence[Row]], Picture]
    notes: tuple[str, ...]


def spread(row: Row) -> Spread:
    """Return a row's time of a call, in microseconds."""
    return Spread(**row["us"])


def sizes_of(rows: Sequence[Row], name: str) -> list[Any]:
    """Return the values that stand under a name, each once, in order."""
    return list(dict.fromkeys(row[name] for row in rows))


def find(rows: Sequence[Row], **wanted: Any) -> Row | None:
    """Return the row with these values."""
    return next((row for row in rows if wanted.items() <= row.items()), None)


def lines_of(rows: Sequence[Row], x: str, *names: str) -> list[Line]:
    """Return a line for each combination of the values under ``names``, over those under ``x``."""
    lines: dict[str, Line] = {}
    for row in rows:
        label = ", ".join(str(row[name]) for name in names)
        line = lines.setdefault(label, Line(label, []))
        line.points.append((float(row[x]), float(row["us"]["median"])))
    return list(lines.values())
