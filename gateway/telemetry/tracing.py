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
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NamedTuple, cast

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
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

    def takes(self, trace_id: bytes) -> bool:
        """Tell whether a trace is sampled that begins here; its id as 16 bytes."""
        return int.from_bytes(trace_id[8:], "big") < self.bound


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
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)


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


class TraceIds(RandomIdGenerator):
    """Makes ids; that of the next trace may be given."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace_id: int) -> None:
        """Let the next trace of this thread have this id."""
        self._given.next = trace_id

    def random(self) -> str:
        """Return the id of a trace that begins with nobody's; 32 hex digits."""
        return f"{super().generate_trace_id():032x}"

    def generate_trace_id(self) -> int:
        """Return the id that was given, or a random one."""
        given: int | None = getattr(self._given, "next", None)
        self._given.next = None
        return given or super().generate_trace_id()


class MessageTrace:
    """The trace of one delivery of a message that is sampled.

    Its own spans are made when it ends, whole, from notes: the SDK's way to make them step by step
    takes several times as long. Only the handler's is the SDK's, for a handler may add to it.
    """

    __slots__ = (
        *("_attributes", "_began", "_context", "_making", "_mark", "_name", "_parent", "_steps"),
        "span",
    )

    def __init__(
        self, making: "Making", name: str, root: SpanContext, parent: SpanContext | None, began: int
    ) -> None:
        """``began`` in nanoseconds since 1970."""
        self._making = making
        self._name = name
        self._parent = parent
        self._began = self._mark = began
        self._steps: list[tuple[str, int, int, Attributes | None]] = []
        self._attributes: dict[str, str | int | float | bool] = {}
        self.span: Span = NonRecordingSpan(root)
        """Its first span, to whoever goes on from there."""
        self._context = set_span_in_context(self.span)

    def tell(self, attributes: Attributes) -> None:
        """Tell what it is about."""
        self._attributes.update(attributes)

    def step(self, name: str, attributes: Attributes | None = None) -> None:
        """Tell what was done since the step before."""
        now = time.time_ns()
        self._steps.append((name, self._mark, now, attributes))
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
        root, making = self.span.get_span_context(), self._making
        for name, began, ended, attributes in self._steps:
            making.make(name, making.next_to(root), root, attributes, (began, ended))
        self._attributes["http.response.status_code"] = status
        outcome = _UNSET
        if status >= 500:
            self._attributes["error.type"] = str(status)
            outcome = _ERROR
        times = (self._began, time.time_ns())
        making.make(
            self._name, root, self._parent, self._attributes, times, SpanKind.SERVER, outcome
        )


_UNSET: Final = Status(StatusCode.UNSET)
_ERROR: Final = Status(StatusCode.ERROR)


class Making(NamedTuple):
    """What spans are made with that are made whole."""

    ids: TraceIds
    processor: SpanProcessor
    """What takes them when they have ended."""
    resource: Resource
    scope: InstrumentationScope

    def next_to(self, root: SpanContext) -> SpanContext:
        """Return the context of a new span in the same trace."""
        return SpanContext(root.trace_id, self.ids.generate_span_id(), False, _SAMPLED)

    def make(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes | None,
        times: tuple[int, int],
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = _UNSET,
    ) -> None:
        """Make a span that began and ended at these times, in nanoseconds since 1970."""
        self.processor.on_end(
            ReadableSpan(
                name,
                context,
                parent,
                self.resource,
                attributes,
                kind=kind,
                status=status,
                start_time=times[0],
                end_time=times[1],
                instrumentation_scope=self.scope,
            )
        )


class Tracing:
    """Begins the traces of messages, and of other requests."""

    def __init__(
        self, provider: TracerProvider, version: str, sampling: Sampling, ids: TraceIds
    ) -> None:
        """``version`` is the gateway's."""
        # The SDK's method is declared as that of the API, which knows nothing of processors.
        tracer = cast("SdkTracer", provider.get_tracer("gateway", version))
        self._tracer = tracer
        self._sampling = sampling
        self._ids = ids
        scope = InstrumentationScope("gateway", version)
        self._making = Making(ids, tracer.span_processor, tracer.resource, scope)

    @property
    def follows(self) -> bool:
        """Whether a caller says what is sampled of its own: only then is it worth asking."""
        return self._sampling.follows

    def samples(self, trace_id: bytes) -> bool:
        """Tell whether a trace is sampled that begins here; its id as 16 bytes."""
        return self._sampling.takes(trace_id)

    def begin(
        self, name: str, trace_id: str, caller: Caller | None, began: int
    ) -> MessageTrace | None:
        """Return the trace of a delivery; None where it is not sampled.

        ``trace_id`` is 32 hex digits; ``began`` in nanoseconds since 1970.
        """
        beginning = self._beginning(trace_id, caller)
        if beginning is None:
            return None
        span_id = self._ids.generate_span_id()
        root = SpanContext(int(beginning.trace_id, 16), span_id, False, _SAMPLED)
        return MessageTrace(self._making, name, root, beginning.parent, began)

    def begin_request(
        self, name: str, caller: Caller | None, attributes: Attributes, began: int
    ) -> Span | None:
        """Return the span of a request, to be ended; None where it is not sampled."""
        beginning = self._beginning(self._ids.random(), caller)
        if beginning is None:
            return None
        if beginning.parent is None:
            self._ids.give(int(beginning.trace_id, 16))
            context = Context()
        else:
            context = set_span_in_context(NonRecordingSpan(beginning.parent))
        return self._tracer.start_span(name, context, SpanKind.SERVER, attributes, start_time=began)

    def _beginning(self, trace_id: str, caller: Caller | None) -> "_Beginning | None":
        """Return where a trace begins in this process; None where it is not sampled.

        ``trace_id`` is that of the trace where its caller has none, or no say.
        """
        if caller is None or not self.follows:
            return _Beginning(trace_id) if self.samples(bytes.fromhex(trace_id)) else None
        if not caller.is_sampled:
            return None
        return _Beginning(caller.trace_id, _span_context(caller.trace_id, caller.span_id))


class _Beginning(NamedTuple):
    trace_id: str
    """32 hex digits."""
    parent: SpanContext | None = None
    """The caller's span, where the trace is theirs."""
