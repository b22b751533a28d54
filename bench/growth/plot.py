"""A section as a picture; the same figures make the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.growth.section import Picture

_COLOURS: Final = ("#2a78d6", "#e34948", "#1baf7a", "#eda100", "#7a4fc9", "#555555")
_MARKERS: Final = "os^Dv*"


def draw(picture: Picture, file: Path) -> None:
    """Write the SVG of a picture."""
    with rc_context(
        {
            # Ids come from this instead of chance; text stays text, so that the file is small.
            "svg.hashsalt": "wechat-gateway",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
        }
    ):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for number, line in enumerate(picture.lines):
            x, y = zip(*line.points, strict=True)
            axes.plot(x, y, label=line.label, color=_COLOURS[number], marker=_MARKERS[number])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(_sizes(picture))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        axes.yaxis.set_major_formatter(FuncFormatter(_number))
        axes.yaxis.set_minor_formatter(FuncFormatter(_between))
        axes.set_xlabel(picture.x_label)
        axes.set_ylabel(picture.y_label)
        axes.set_title(picture.title)
        axes.legend()
        # Nothing that tells when it was drawn.
        figure.savefig(file, format="svg", metadata={"Date": None})


def _sizes(picture: Picture) -> Sequence[float]:
    return sorted({x for line in picture.lines for x, _ in line.points})


def _number(value: float, _place: object) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _between(value: float, place: object) -> str:
    """Write 2 and 5 between two powers of ten, and no others, for which there is no room."""
    return _number(value, place) if f"{value:e}"[0] in "25" else ""
