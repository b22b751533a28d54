"""Traces: one for all that a message leads to, across processes and the time in between.

A message's trace has its dedupe key for an id, unless its caller brought one: so all deliveries of
a message are in one trace, and whether it is sampled is known, and the same in every process,
before any span is made. What waits in a store keeps where it came from, as ``written`` writes it.

Code that is not run for each callback makes spans of what is current, by OpenTelemetry's own API:
without a trace that is sampled that is nothing.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from gateway.telemetry.subject import SUBJECT

Attributes = Mapping[str, str | int | float | bool]

CONSUMER: Final = SpanKind.CONSUMER
PRODUCER: Final = SpanKind.PRODUCER
CLIENT: Final = SpanKind.CLIENT

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_STORED: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
# https://www.w3.org/TR/trace-context/#traceparent-header; ids of zeros are invalid, and so is
# version ff.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


class Sampling(NamedTuple):
    """Which traces are sampled."""

    bound: int
    """Those whose last 64 bits are below it, as OpenTelemetry's TraceIdRatioBased has it."""
    follows: bool
    """Whether that is the caller's to decide, where there is one."""

    def takes(self, trace_id: str) -> bool:
        """Tell whether a trace is sampled that begins here; its id in 32 hex digits."""
        return int(trace_id[16:], 16) < self.bound


class Caller(NamedTuple):
    """The span that a request is part of."""

    context: SpanContext
    is_sampled: bool


def caller_of(traceparent: str | None) -> Caller | None:
    """Return what a ``traceparent`` header says; None where it is none, or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return None
    is_sampled = bool(int(match[3], 16) & TraceFlags.SAMPLED)
    flags = TraceFlags(int(is_sampled))
    return Caller(SpanContext(int(match[1], 16), int(match[2], 16), True, flags), is_sampled)


def written(span: Span) -> str:
    """Return where what is stored now came from: a trace and a span; empty if it is not sampled."""
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return ""
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def origin_of(stored: str) -> Context | None:
    """Return the context that ``written`` wrote; None where nothing was sampled."""
    match = _STORED.fullmatch(stored)
    if match is None:
        return None
    context = SpanContext(int(match[1], 16), int(match[2], 16), True, _SAMPLED)
    return set_span_in_context(NonRecordingSpan(context))


def trace_id_of(stored: str) -> str:
    """Return the trace id of what was stored, sampled or not."""
    return stored[:32]


def current_origin() -> str:
    """Return where what is stored now comes from, as ``written`` writes it.

    Where nothing is sampled that is the trace id of the message at hand alone, or nothing.
    """
    stored = written(trace.get_current_span())
    subject = SUBJECT.get()
    if stored or subject is None:
        return stored
    return subject.log_fields().get("trace_id", "")


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    origin: Context | None = None,
) -> Iterator[Span]:
    """Make a span, current within; nothing where neither ``origin`` nor what is current is sampled.

    What is raised within is told by its type alone: its words may be a user's.
    """
    around = trace.get_current_span(origin)
    if not around.get_span_context().trace_flags.sampled:
        yield around
        return
    made = _tracer().start_span(name, origin, kind, attributes)
    with trace.use_span(
        made, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield made
        except BaseException as error:
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _tracer() -> Tracer:
    return trace.get_tracer("gateway")


class TraceIds(RandomIdGenerator):
    """Makes ids; that of the next trace may be given."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace_id: int) -> None:
        """Let the next trace of this thread have this id."""
        self._given.next = trace_id

    def generate_trace_id(self) -> int:
        """Return the id that was given, or a random one."""
        given: int | None = getattr(self._given, "next", None)
        self._given.next = None
        return given or super().generate_trace_id()


class MessageTrace:
    """The trace of one delivery of a message that is sampled."""

    __slots__ = ("_context", "_mark", "_tracer", "span")

    def __init__(self, tracer: Tracer, root: Span, began: int) -> None:
        """``began`` in nanoseconds since 1970."""
        self._tracer = tracer
        self.span = root
        self._context = set_span_in_context(root)
        self._mark = began

    def step(self, name: str, attributes: Attributes | None = None) -> None:
        """Tell what was done since the step before."""
        now = time.time_ns()
        made = self._tracer.start_span(
            name, self._context, attributes=attributes, start_time=self._mark
        )
        made.end(now)
        self._mark = now

    @contextmanager
    def handling(self, handler: str) -> Iterator[None]:
        """Make the handler's span, current within."""
        token = contexts.attach(self._context)
        try:
            with span(f"handle {handler}"):
                yield
        finally:
            contexts.detach(token)

    def end(self, status: int) -> None:
        """Tell that it was answered so."""
        self.span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class Tracing:
    """Begins the traces of messages."""

    def __init__(self, tracer: Tracer, sampling: Sampling, ids: TraceIds) -> None:
        self._tracer = tracer
        self._sampling = sampling
        self._ids = ids

    def begin(
        self, name: str, trace_id: str, traceparent: str | None, began: int
    ) -> MessageTrace | None:
        """Return the trace of a delivery; None where it is not sampled.

        ``trace_id`` is 32 hex digits; ``began`` in nanoseconds since 1970.
        """
        caller = None
        if traceparent is not None and self._sampling.follows:
            caller = caller_of(traceparent)
        if caller is None:
            if not self._sampling.takes(trace_id):
                return None
            self._ids.give(int(trace_id, 16))
            parent = Context()
        elif not caller.is_sampled:
            return None
        else:
            parent = set_span_in_context(NonRecordingSpan(caller.context))
        root = self._tracer.start_span(name, parent, SpanKind.SERVER, start_time=began)
        return MessageTrace(self._tracer, root, began)
