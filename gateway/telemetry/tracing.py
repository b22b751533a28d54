"""Traces: one for all that a message leads to, across processes and the time in between.

A message's trace has its dedupe key for an id, unless its caller brought one: so all deliveries of
a message are in one trace, and whether it is sampled is known, and the same in every process,
before any span is made. What waits in a store keeps where it came from, as ``written`` writes it.

Any other request's trace is its caller's, or has a random id; whoever is not known has no say in
whether it is sampled.

Code that is not run for each callback makes spans of what is current, by OpenTelemetry's own API:
without a trace that is sampled that is nothing.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
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

from gateway.telemetry.message_trace import MessageTrace
from gateway.telemetry.spans import SAMPLED, Attributes, Making
from gateway.telemetry.subject import SUBJECT

CONSUMER: Final = SpanKind.CONSUMER
PRODUCER: Final = SpanKind.PRODUCER
CLIENT: Final = SpanKind.CLIENT

_STORED: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
# https://www.w3.org/TR/trace-context/#traceparent-header; ids of zeros are invalid, and so is
# version ff.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)


_ALL: Final = b"\xff" * 9
"""Above any 8 bytes."""


class Sampling(NamedTuple):
    """Which traces are sampled."""

    below: bytes
    """Those whose last 8 bytes are below it: as bytes, for each callback is compared."""
    follows: bool
    """Whether that is the caller's to decide, where there is one."""

    @classmethod
    def of(cls, bound: int, *, follows: bool) -> "Sampling":
        """Take those whose last 64 bits are below ``bound``, as TraceIdRatioBased has it."""
        return cls(_ALL if bound >> 64 else bound.to_bytes(8, "big"), follows)

    @property
    def limit(self) -> bytes:
        """Whose last 8 bytes are not below it is not sampled, whatever its caller says."""
        return _ALL if self.follows else self.below


class Caller(NamedTuple):
    """The span that a request is part of."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    is_sampled: bool


def caller_of(traceparent: str | None) -> Caller | None:
    """Return what a ``traceparent`` header says; None where it is none, or malformed."""
    if not traceparent:
        return None
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    trace_id, span_id, flags = match.groups()
    return Caller(trace_id, span_id, bool(int(flags, 16) & TraceFlags.SAMPLED))


def written(span: Span) -> str:
    """Return where what is stored now came from: a trace and a span; empty if it is not sampled."""
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return ""
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def traceparent_of(stored: str) -> str:
    """Return the ``traceparent`` that brings what ``written`` wrote to others; empty unsampled."""
    return f"00-{stored}-01" if _STORED.fullmatch(stored) else ""


def origin_of(stored: str) -> Context | None:
    """Return the context that ``written`` wrote; None where nothing was sampled."""
    match = _STORED.fullmatch(stored)
    return None if match is None else _context(match[1], match[2])


def origin_of_caller(traceparent: str | None) -> Context | None:
    """Return the context that a ``traceparent`` tells; None where it is not sampled."""
    caller = caller_of(traceparent)
    if caller is None or not caller.is_sampled:
        return None
    return _context(caller.trace_id, caller.span_id)


def _context(trace_id: str, span_id: str) -> Context:
    return set_span_in_context(NonRecordingSpan(_span_context(trace_id, span_id)))


def _span_context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=SAMPLED)


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


def start(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    origin: Context | None = None,
    link: str = "",
) -> Span | None:
    """Return a span to be ended; None where neither ``origin`` nor what is current is sampled.

    ``link`` is another span that it has to do with, as ``written`` wrote it.
    """
    if not trace.get_current_span(origin).get_span_context().trace_flags.sampled:
        return None
    match = _STORED.fullmatch(link)
    links = None if match is None else [Link(_span_context(match[1], match[2]))]
    return _tracer().start_span(name, origin, kind, attributes, links)


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    origin: Context | None = None,
    link: str = "",
) -> Iterator[Span]:
    """Make a span as ``start`` does, current within; where there is none, yield what is current.

    What is raised within is told by its type alone: its words may be a user's.
    """
    made = start(name, kind, attributes, origin=origin, link=link)
    if made is None:
        yield trace.get_current_span(origin)
        return
    with trace.use_span(
        made, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield made
        except BaseException as error:
            fail(made, error)
            raise


def fail(span: Span, error: BaseException) -> None:
    """Tell that what a span is about ended in an error, by its type alone."""
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
    span.set_attribute("error.type", type(error).__name__)


def tell_status(span: Span, status: int, errors: int = 500) -> None:
    """Tell the status of a response; from ``errors`` on, that it is one of failure."""
    span.set_attribute("http.response.status_code", status)
    if status >= errors:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", str(status))


def _tracer() -> Tracer:
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> Tracer:
    # Asked for anew it takes as long as a span.
    return provider.get_tracer("gateway")


class Tracing:
    """Begins the traces of messages, and of other requests."""

    def __init__(self, making: Making, sampling: Sampling) -> None:
        self._making = making
        self.sampling = sampling

    def begin(
        self,
        name: str,
        trace_id: bytes,
        caller: Caller | None,
        times: tuple[int, int],
        describe: Callable[[], Attributes],
    ) -> MessageTrace | None:
        """Return the trace of a delivery that was verified; None where it is not sampled.

        ``trace_id`` is 16 bytes; ``times`` are when the delivery arrived and when it was verified,
        in nanoseconds since 1970. ``describe`` tells what it is about, when that is exported.
        """
        beginning = self._beginning(trace_id, caller)
        if beginning is None:
            return None
        return MessageTrace(self._making, name, *beginning, times, describe)

    def begin_request(
        self, name: str, caller: Caller | None, attributes: Attributes, began: int
    ) -> Span | None:
        """Return the span of a request, to be ended; None where it is not sampled."""
        making = self._making
        beginning = self._beginning(making.ids.generate_trace_id().to_bytes(16, "big"), caller)
        if beginning is None:
            return None
        trace_id, parent = beginning
        if parent is None:
            making.ids.give(trace_id=int(trace_id, 16))
            context = Context()
        else:
            context = set_span_in_context(NonRecordingSpan(parent))
        kind = SpanKind.SERVER
        return making.tracer.start_span(name, context, kind, attributes, start_time=began)

    def _beginning(
        self, trace_id: bytes, caller: Caller | None
    ) -> tuple[str, SpanContext | None] | None:
        """Return where a trace begins in this process; None where it is not sampled.

        That is its id, 32 hex digits, and its caller's span where the trace is theirs; ``trace_id``
        is its id where its caller has none, or no say.
        """
        if caller is None or not self.sampling.follows:
            return (trace_id.hex(), None) if trace_id[8:] < self.sampling.below else None
        if not caller.is_sampled:
            return None
        return caller.trace_id, _span_context(caller.trace_id, caller.span_id)
