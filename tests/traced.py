"""Spans in memory: what a test was traced as."""

from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.telemetry import tracing
from gateway.telemetry.message_trace import MessageTrace
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.otlp_traces import Traces, traces_by
from gateway.telemetry.tracing import Caller

TRACE: Final = "ab" * 16
SPAN: Final = "cd" * 8
ORIGIN: Final = f"{TRACE}-{SPAN}"
"""A span of somebody else's, as it is stored."""
CALLER: Final = f"00-{TRACE}-{SPAN}-01"
"""The same as a header."""
CALLBACK: Final = "POST /wechat/{account}"
"""A callback's first span."""
ABOUT: Final = {"gateway.account": "main"}
BEGAN: Final = 1_790_000_000_000_000_000
UNSAMPLED: Final = f"00-{TRACE}-{SPAN}-00"


class Traced:
    """Traces by these variables of OpenTelemetry, and the spans that were made."""

    def __init__(self, **variables: str) -> None:
        self._kept = InMemorySpanExporter()
        # Its queue is not started: it is emptied when somebody looks.
        self._made = traces_by(self._kept, variables, Metrics(), "1.2.3")
        self.tracing = self._made.tracing

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let what is traced by OpenTelemetry's own API be kept here too."""
        # A process has but one provider for good: so not that one.
        monkeypatch.setattr(tracing, "_tracer", lambda: self._made.provider.get_tracer("gateway"))

    def begin(self, key: str, caller: Caller | None = None) -> MessageTrace | None:
        """Begin the trace of a delivery of the message with this key, 32 hex digits."""
        return begin(self._made, key, caller)

    def spans(self) -> list[ReadableSpan]:
        """Return those that ended, in that order."""
        self._made.queue.force_flush()
        return list(self._kept.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        """Return the only one of a name."""
        (found,) = (one for one in self.spans() if one.name == name)
        return found


def begin(made: Traces, key: str, caller: Caller | None = None) -> MessageTrace | None:
    """Begin the trace of a delivery that arrived at BEGAN and was verified a microsecond later."""
    times = (BEGAN, BEGAN + 1000)
    return made.tracing.begin(CALLBACK, bytes.fromhex(key), caller, times, lambda: ABOUT)


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
