"""The list of metrics for the documents.

``python -m gateway.telemetry.listing > docs/metrics.md`` writes it.
"""

import sys
from collections.abc import Iterator
from typing import Final

from gateway.telemetry.instruments import ALL, Instrument, Kind

_ENDS: Final = {Kind.COUNTER: "_total", Kind.HISTOGRAM: "", Kind.GAUGE: ""}

_HEAD: Final = """\
# Metrics

What `/metrics` tells, in Prometheus' format. A histogram has `_bucket`, `_sum` and `_count` behind
its name. Counters and histograms are those of all workers of one `gateway serve`, those of workers
that died among them; gauges are of now. Labels' values never come from a sender.
"""


def describe() -> str:
    """Return the list, as Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "| Metric | Kind | Labels | What it is |"
    yield "| --- | --- | --- | --- |"
    yield from map(_line, ALL)
    yield ""


def _line(one: Instrument) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels) or "–"
    return f"| `{one.prometheus_name}{_ENDS[one.kind]}` | {one.kind} | {labels} | {one.help} |"


if __name__ == "__main__":
    sys.stdout.write(describe())
