"""Spans in memory: what a test was traced as."""

from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.telemetry import tracing
from gateway.telemetry.otlp_traces import sampling_of
from gateway.telemetry.tracing import TraceIds, Tracing

TRACE: Final = "ab" * 16
SPAN: Final = "cd" * 8
ORIGIN: Final = f"{TRACE}-{SPAN}"
"""A span of somebody else's, as it is stored."""
CALLER: Final = f"00-{TRACE}-{SPAN}-01"
"""The same as a header."""
UNSAMPLED: Final = f"00-{TRACE}-{SPAN}-00"


class Traced:
    """Traces by these variables of OpenTelemetry, and the spans that were made."""

    def __init__(self, **variables: str) -> None:
        sampling, sampler = sampling_of(variables)
        ids = TraceIds()
        # Without what brings spans to a collector: its thread would log that none is there.
        self._provider = TracerProvider(sampler, id_generator=ids, shutdown_on_exit=False)
        self._kept = InMemorySpanExporter()
        self._provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = Tracing(self._provider, "1.2.3", sampling, ids)

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let what is traced by OpenTelemetry's own API be kept here too."""
        # A process has but one provider for good: so not that one.
        monkeypatch.setattr(tracing, "_tracer", lambda: self._provider.get_tracer("gateway"))

    def spans(self) -> list[ReadableSpan]:
        """Return those that ended, in that order."""
        return list(self._kept.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        """Return the only one of a name."""
        (found,) = (one for one in self.spans() if one.name == name)
        return found


def id_of(span: ReadableSpan) -> str:
    """Return a span as it is stored: its trace and its own id."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    """Return a span's parent as it is stored; empty where it has none."""
    parent = span.parent
    return "" if parent is None else f"{parent.trace_id:032x}-{parent.span_id:016x}"


def links_of(span: ReadableSpan) -> list[str]:
    """Return what a span is linked to, as it is stored."""
    contexts = [link.context for link in span.links]
    return [f"{one.trace_id:032x}-{one.span_id:016x}" for one in contexts]
