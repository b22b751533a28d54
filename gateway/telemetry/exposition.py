"""Metrics as Prometheus reads them."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from gateway.telemetry.instruments import Kind
from gateway.telemetry.metrics import Family

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class _Families(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return map(_metric, self._families)


def exposition(families: Iterable[Family]) -> bytes:
    """Return the families in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry)


def _metric(family: Family) -> Metric:
    instrument, points = family
    name, labels = instrument.prometheus_name, instrument.labels
    if instrument.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, instrument.help, labels=labels)
        bounds = [*map(floatToGoString, instrument.bounds), "+Inf"]
        for point in points:
            buckets = [*zip(bounds, accumulate(point.buckets), strict=True)]
            histogram.add_metric(point.labels, buckets, point.value)
        return histogram
    metric: CounterMetricFamily | GaugeMetricFamily
    if instrument.kind is Kind.COUNTER:
        metric = CounterMetricFamily(name, instrument.help, labels=labels)
    else:
        metric = GaugeMetricFamily(name, instrument.help, labels=labels)
    for point in points:
        metric.add_metric(point.labels, point.value)
    return metric
