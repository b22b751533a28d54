"""Spans on their way to a collector: a queue of bounded length, emptied by a thread.

Nobody waits for a collector. What the queue has no room for is dropped, and counted. Notes are
queued as they are; their spans are made by the thread, of many one after the other.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from opentelemetry import context as contexts
from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # what the SDK's own exporting threads set
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.spans import Noted


class Limits(NamedTuple):
    """How much waits, and how long; as OpenTelemetry has them by default."""

    queued: int = 2048
    """Spans that wait at most; the notes of a callback count as one."""
    batch: int = 512
    """Spans that are exported at a time; so many do not wait for the delay."""
    delay: float = 5.0
    """Seconds between two exports."""


class SpanQueue(SpanProcessor):
    """Takes spans that ended from any thread, exports them by one of its own."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics, limits: Limits) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._limits = limits
        self._room = limits.queued
        self._waiting: deque[ReadableSpan | Noted] = deque()
        self._wake = threading.Event()
        self._exporting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.others: list[SpanProcessor] = []
        """Who is told of the spans of notes too."""

    def start(self) -> None:
        """Begin to export."""
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def take(self, ended: ReadableSpan | Noted) -> None:
        """Queue a span, or what becomes spans, where there is room."""
        waiting = self._waiting
        if len(waiting) >= self._room:
            count = 1 if isinstance(ended, ReadableSpan) else ended.count
            self._metrics.spans.add(("dropped",), float(count))
            return
        waiting.append(ended)
        if len(waiting) >= self._limits.batch and not self._wake.is_set():
            self._wake.set()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span of the SDK's that is sampled."""
        if span.context is not None and span.context.trace_flags.sampled:
            self.take(span)

    def shutdown(self) -> None:
        """Export what is queued, and no more."""
        self._room = 0
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._empty()
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued."""
        self._empty()
        return self._exporter.force_flush(timeout_millis)

    def _run(self) -> None:
        # Or a library that traces requests would trace those that bring spans to the collector.
        contexts.attach(contexts.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        while self._room:
            self._wake.wait(self._limits.delay)
            self._wake.clear()
            self._empty()

    def _empty(self) -> None:
        """Export what is there now; what comes meanwhile waits for the next time."""
        with self._exporting:
            left = len(self._waiting)
            while left:
                taken = [self._waiting.popleft() for _ in range(min(left, self._limits.batch))]
                left -= len(taken)
                spans = iter(self._made(taken))
                while batch := list(islice(spans, self._limits.batch)):
                    self._export(batch)

    def _made(self, taken: Iterable[ReadableSpan | Noted]) -> Iterable[ReadableSpan]:
        for one in taken:
            if isinstance(one, ReadableSpan):
                yield one
                continue
            for span in one.spans():
                for other in self.others:
                    other.on_end(span)
                yield span

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        outcome = "exported" if result is SpanExportResult.SUCCESS else "failed"
        self._metrics.spans.add((outcome,), float(len(spans)))
