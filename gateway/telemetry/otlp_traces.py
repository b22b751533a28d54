"""The SDK that makes spans and brings them to a collector, by OpenTelemetry's own variables.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

Nothing waits for a collector: spans go by a queue of bounded length, emptied by a thread. What the
queue has no room for is dropped, and counted.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.otlp import (
    CONSOLE,
    STOP_SECONDS,
    TelemetryWrong,
    exporter_name,
    number_of,
    otlp_exporter,
    resource_of,
)
from gateway.telemetry.spans import Making, Noted, SpanIds, made_of
from gateway.telemetry.tracing import Sampling, Tracing

QUEUED: Final = 2048
"""Spans that wait at most, where OTEL_BSP_MAX_QUEUE_SIZE does not say otherwise."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EVERYTHING: Final = 1 << 64


class Traces(NamedTuple):
    """What traces are made with."""

    provider: TracerProvider
    tracing: Tracing

    def close(self) -> None:
        """Export what is queued, for a bounded time; make no more."""
        ending = threading.Thread(target=self.provider.shutdown, daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)


def make_traces(environ: Mapping[str, str], metrics: Metrics, version: str) -> Traces | None:
    """Return what traces are made with; None where the variables ask for none.

    Raises TelemetryWrong.
    """
    exporter = _exporter(environ)
    if exporter is None:
        return None
    sampling, sampler = sampling_of(environ)
    ids = SpanIds()
    provider = TracerProvider(
        sampler=sampler,
        resource=resource_of(environ, version, **{"process.pid": str(os.getpid())}),
        shutdown_on_exit=False,
        id_generator=ids,
    )
    most = number_of(environ, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUED)
    queue = CountingProcessor(exporter, metrics, most)
    provider.add_span_processor(queue)
    # The SDK's method is declared as that of the API, which knows nothing of processors.
    tracer = cast("SdkTracer", provider.get_tracer("gateway", version))
    making = Making(tracer, ids, InstrumentationScope("gateway", version), queue.take)
    return Traces(provider, Tracing(making, sampling))


def install(traces: Traces) -> None:
    """Let everybody in this process make spans with it: handlers, and the libraries they use."""
    trace.set_tracer_provider(traces.provider)


def _exporter(environ: Mapping[str, str]) -> SpanExporter | None:
    name = exporter_name(environ, "TRACES")
    if name == CONSOLE:
        return ConsoleSpanExporter()
    if name == "none" or (not name and not any(environ.get(one) for one in _ENDPOINTS)):
        return None
    exporter: SpanExporter = otlp_exporter(environ, "TRACES", "trace_exporter", "OTLPSpanExporter")
    return exporter


def sampling_of(environ: Mapping[str, str]) -> tuple[Sampling, Sampler]:
    """Return which traces are sampled, for us and for the SDK; raise TelemetryWrong."""
    name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    given = environ.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    try:
        ratio = float(given)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise TelemetryWrong(f"OTEL_TRACES_SAMPLER_ARG: {given}; give a number from 0 to 1")
    kind = name.removeprefix("parentbased_")
    roots: dict[str, tuple[int, Sampler]] = {
        "always_on": (_EVERYTHING, ALWAYS_ON),
        "always_off": (0, ALWAYS_OFF),
        "traceidratio": (TraceIdRatioBased.get_bound_for_rate(ratio), TraceIdRatioBased(ratio)),
    }
    if kind not in roots:
        raise TelemetryWrong(
            f"OTEL_TRACES_SAMPLER: {name} is unknown; give always_on, always_off or traceidratio, "
            "or one of them behind parentbased_"
        )
    bound, root = roots[kind]
    follows = kind != name
    return Sampling(bound, follows=follows), ParentBased(root) if follows else root


class _Counted(SpanExporter):
    """An exporter whose work is counted."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self.exported = 0
        """Spans that are no longer queued: changed by the exporting thread alone."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, and count what came of it."""
        spans = made_of(spans)
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        self.exported += len(spans)
        outcome = "exported" if result is SpanExportResult.SUCCESS else "failed"
        self._metrics.spans.add((outcome,), float(len(spans)))
        return result

    def shutdown(self) -> None:
        """Let go of connections."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what the exporter itself holds back."""
        return self._exporter.force_flush(timeout_millis)


class CountingProcessor(SpanProcessor):
    """A batch processor that tells how many spans it dropped: the SDK's own does not."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics, most: int) -> None:
        """Let ``most`` spans wait."""
        self._metrics = metrics
        self._most = most
        self._counted = _Counted(exporter, metrics)
        batch = min(512, most)
        self._batches = BatchSpanProcessor(
            self._counted, max_queue_size=most, max_export_batch_size=batch
        )
        self._taken = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span where there is room."""
        if self._taken - self._counted.exported >= self._most:
            self._metrics.spans.add(("dropped",))
            return
        self._taken += 1
        self._batches.on_end(span)

    def take(self, noted: Noted) -> None:
        """Queue what becomes spans where there is room."""
        count = noted.count
        if self._taken - self._counted.exported >= self._most:
            self._metrics.spans.add(("dropped",), float(count))
            return
        self._taken += count
        self._batches.on_end(cast("ReadableSpan", noted))

    def shutdown(self) -> None:
        """Export what is queued, and no more."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # the SDK's

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued."""
        return self._batches.force_flush(timeout_millis)
