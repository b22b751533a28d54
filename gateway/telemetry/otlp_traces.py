"""The SDK that makes spans and brings them to a collector, by OpenTelemetry's own variables.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
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
from gateway.telemetry.span_queue import Limits, SpanQueue
from gateway.telemetry.spans import Making, SpanIds
from gateway.telemetry.tracing import Sampling, Tracing

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EVERYTHING: Final = 1 << 64


class Traces(NamedTuple):
    """What traces are made with."""

    provider: TracerProvider
    tracing: Tracing
    queue: SpanQueue

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
    return None if exporter is None else traces_by(exporter, environ, metrics, version)


def traces_by(
    exporter: SpanExporter, environ: Mapping[str, str], metrics: Metrics, version: str
) -> Traces:
    """Return what traces are made with that an exporter brings to a collector.

    Raises TelemetryWrong.
    """
    sampling, sampler = sampling_of(environ)
    ids = SpanIds()
    queue = SpanQueue(exporter, metrics, _limits(environ))
    provider = _Provider(
        queue,
        sampler=sampler,
        resource=resource_of(environ, version, **{"process.pid": str(os.getpid())}),
        shutdown_on_exit=False,
        id_generator=ids,
    )
    # The SDK's method is declared as that of the API, which knows nothing of processors.
    tracer = cast("SdkTracer", provider.get_tracer("gateway", version))
    making = Making(tracer, ids, InstrumentationScope("gateway", version), queue.take)
    return Traces(provider, Tracing(making, sampling), queue)


class _Provider(TracerProvider):
    """A provider whose later processors, such as a bot adds, are told of the spans of notes too."""

    def __init__(self, queue: SpanQueue, **more: Any) -> None:
        super().__init__(**more)
        super().add_span_processor(queue)
        self._queue = queue

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Tell a processor of all spans from now on."""
        super().add_span_processor(span_processor)
        self._queue.others.append(span_processor)


def _limits(environ: Mapping[str, str]) -> Limits:
    usual = Limits()
    queued = number_of(environ, "OTEL_BSP_MAX_QUEUE_SIZE", usual.queued)
    batch = number_of(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch)
    delay = number_of(environ, "OTEL_BSP_SCHEDULE_DELAY", int(usual.delay * 1000))
    return Limits(queued, min(batch, queued), delay / 1000)


def install(traces: Traces) -> None:
    """Let everybody in this process make spans with it: handlers, and the libraries they use."""
    traces.queue.start()
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
    return Sampling.of(bound, follows=follows), ParentBased(root) if follows else root
