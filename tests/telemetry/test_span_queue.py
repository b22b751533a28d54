"""Spans on their way: none delays anybody, and what becomes of each is counted."""

import threading
import time
from collections.abc import Sequence
from typing import Final

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.telemetry import instruments
from gateway.telemetry.cells import Labels
from gateway.telemetry.metrics import Metrics, gather
from gateway.telemetry.otlp_traces import Traces, traces_by
from tests.traced import CALLBACK, begin

KEY: Final = "0123456789abcdef0123456789abcdef"
_SECONDS: Final = 20.0


class Exporter(SpanExporter):
    """A collector that takes its time, or fails."""

    def __init__(self, result: SpanExportResult | OSError = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.batches: list[int] = []
        self.is_suppressed: object = None
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans."""
        self.batches.append(len(spans))
        self.is_suppressed = get_value(_SUPPRESS_INSTRUMENTATION_KEY)
        self.asked.set()
        assert self.go_on.wait(_SECONDS)
        if isinstance(self.result, OSError):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        """Let go of nothing."""


def make(exporter: SpanExporter, metrics: Metrics, **variables: str) -> Traces:
    """Return what traces are made with."""
    return traces_by(exporter, variables, metrics, "1.2.3")


def deliver(made: Traces, times: int = 1) -> None:
    """Answer deliveries: each is a callback's span and one below it."""
    for _ in range(times):
        one = begin(made, KEY)
        assert one is not None
        one.step("claim")
        one.end(200)


def counted(metrics: Metrics) -> dict[Labels, float]:
    """Return how many spans had which end."""
    found = gather(metrics.cells.read())
    return {
        point.labels: point.value
        for family in found
        for point in family.points
        if family.instrument is instruments.SPANS
    }


def test_a_collector_that_hangs_delays_nobody_and_what_there_is_no_room_for_is_counted() -> None:
    exporter, metrics = Exporter(), Metrics()
    exporter.go_on.clear()
    made = make(exporter, metrics, OTEL_BSP_MAX_QUEUE_SIZE="10")
    made.queue.start()
    deliver(made, 10)
    assert exporter.asked.wait(_SECONDS)
    # Those are on their way; ten more wait, and there is no room for five.
    deliver(made, 15)
    assert counted(metrics) == {("dropped",): 10.0}
    exporter.go_on.set()
    made.close()
    assert counted(metrics) == {("dropped",): 10.0, ("exported",): 40.0}


def test_spans_that_the_sdk_made_are_queued_dropped_and_counted_alike() -> None:
    exporter, metrics = Exporter(), Metrics()
    made = make(exporter, metrics, OTEL_BSP_MAX_QUEUE_SIZE="3")
    tracer = made.provider.get_tracer("a library")
    for number in range(5):
        tracer.start_span(str(number)).end()
    made.provider.force_flush()
    assert counted(metrics) == {("dropped",): 2.0, ("exported",): 3.0}


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, OSError("down")])
def test_what_a_collector_does_not_take_is_counted(result: SpanExportResult | OSError) -> None:
    metrics = Metrics()
    made = make(Exporter(result), metrics)
    deliver(made)
    made.provider.force_flush()
    assert counted(metrics) == {("failed",): 2.0}


def test_no_more_spans_are_exported_at_a_time_than_is_asked_for() -> None:
    exporter = Exporter()
    made = make(exporter, Metrics(), OTEL_BSP_MAX_EXPORT_BATCH_SIZE="3")
    deliver(made, 5)
    made.provider.force_flush()
    assert (sum(exporter.batches), max(exporter.batches)) == (10, 3)


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    exporter = Exporter()
    more = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    made = make(exporter, Metrics(), **more)
    made.queue.start()
    deliver(made, 2)
    assert exporter.asked.wait(_SECONDS)
    # Or what a library traces would trace the exporter's own requests.
    assert exporter.is_suppressed is True
    made.close()


def test_what_comes_while_a_batch_is_exported_does_not_wait_for_the_delay_either() -> None:
    exporter, metrics = Exporter(), Metrics()
    exporter.go_on.clear()
    more = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
    made = make(exporter, metrics, **more)
    deliver(made, 5)
    made.queue.start()
    assert exporter.asked.wait(_SECONDS)
    deliver(made, 7)
    exporter.go_on.set()
    until = time.monotonic() + _SECONDS
    while sum(exporter.batches) < 24 and time.monotonic() < until:
        time.sleep(0.01)
    assert sum(exporter.batches) == 24
    made.close()


def test_fewer_are_exported_when_the_delay_is_over() -> None:
    exporter = Exporter()
    made = make(exporter, Metrics(), OTEL_BSP_SCHEDULE_DELAY="1")
    made.queue.start()
    deliver(made)
    assert exporter.asked.wait(_SECONDS)
    made.close()


def test_behind_its_end_everything_is_dropped_and_counted() -> None:
    metrics = Metrics()
    made = make(Exporter(), metrics)
    made.queue.start()
    deliver(made)
    made.close()
    deliver(made)
    assert counted(metrics) == {("exported",): 2.0, ("dropped",): 2.0}


def test_a_processor_of_the_bot_s_own_is_told_of_all_spans() -> None:
    kept = InMemorySpanExporter()
    made = make(Exporter(), Metrics())
    made.provider.add_span_processor(SimpleSpanProcessor(kept))
    deliver(made)
    made.provider.get_tracer("a library").start_span("its own").end()
    made.provider.force_flush()
    names = [one.name for one in kept.get_finished_spans()]
    assert sorted(names) == sorted(["claim", CALLBACK, "its own"])
