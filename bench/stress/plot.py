"""A run as a picture: latency, rate and memory over time; the same run makes the same bytes."""

from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

_COLOURS: Final = {"p50": "#2a78d6", "p90": "#1baf7a", "p99": "#eda100", "max": "#e34948"}


def draw(document: dict[str, Any], file: Path) -> None:
    """Write the SVG of a run, from what its JSON holds."""
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
        figure = Figure(figsize=(9, 7), layout="constrained")
        latency, rate, memory = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.5))
        _draw_latency(latency, document["course"])
        _draw_rate(rate, document["course"])
        _draw_memory(memory, document["memory_mib"]["course"])
        profile = document["profile"]
        figure.suptitle(
            f"{profile['name']}: {document['server']['row']}, up to {profile['rate']} messages/s"
        )
        # Nothing that tells when it was drawn.
        figure.savefig(file, format="svg", metadata={"Date": None})


def _draw_latency(axes: Axes, course: list[dict[str, Any]]) -> None:
    seconds = [point["second"] for point in course]
    for level, colour in _COLOURS.items():
        axes.plot(seconds, [point[level] for point in course], label=level, color=colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(LogFormatter())
    axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_ylabel("latency, ms")
    axes.legend(ncols=len(_COLOURS), loc="upper right")


def _draw_rate(axes: Axes, course: list[dict[str, Any]]) -> None:
    seconds = [point["second"] for point in course]
    rates = [point["requests_per_second"] for point in course]
    axes.plot(seconds, rates, color=_COLOURS["p50"], label="requests/s")
    failed = [point for point in course if point["failures"]]
    if failed:
        axes.plot(
            [point["second"] for point in failed],
            [point["requests_per_second"] for point in failed],
            "x",
            color=_COLOURS["max"],
            label="with failures",
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("requests/s")
    axes.legend(loc="upper right")


def _draw_memory(axes: Axes, course: list[dict[str, float]]) -> None:
    axes.plot(
        [point["second"] for point in course],
        [point["mib"] for point in course],
        color=_COLOURS["p90"],
    )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("memory, MiB")
    axes.set_xlabel("seconds")
