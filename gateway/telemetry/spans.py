"""How spans are made of notes: whole, with ids that are known before."""

import random
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

Attributes = Mapping[str, str | int | float | bool]

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

_UNSET: Final = Status(StatusCode.UNSET)


class Noted:
    """What has ended, and becomes spans when it is exported."""

    __slots__ = ()

    @property
    @abstractmethod
    def count(self) -> int:
        """How many spans it becomes."""

    @abstractmethod
    def spans(self) -> Iterator[ReadableSpan]:
        """Make them."""


class SpanIds(RandomIdGenerator):
    """Makes ids; those of the next span of a thread may be given."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, *, trace_id: int = 0, span_id: int = 0) -> None:
        """Let the next span of this thread have these ids; 0 for a random one."""
        self._given.trace_id, self._given.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        """Return the id that was given, or a random one."""
        return self._take("trace_id") or super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Return the id that was given, or a random one."""
        return self._take("span_id") or super().generate_span_id()

    def _take(self, which: str) -> int:
        given: int = getattr(self._given, which, 0)
        if given:
            setattr(self._given, which, 0)
        return given


class Making(NamedTuple):
    """What the spans of notes are made with."""

    tracer: SdkTracer
    ids: SpanIds
    scope: InstrumentationScope
    take: Callable[[Noted], None]
    """Takes what has ended, to be exported."""
    bits: Callable[[int], int] = random.getrandbits
    """What ids are made of."""

    def child_of(self, root: SpanContext, span_id: int = 0) -> SpanContext:
        """Return the context of a span in the same trace; 0 for one with a random id."""
        return SpanContext(root.trace_id, span_id or self.bits(64) or 1, False, SAMPLED)

    def make(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes | None,
        times: tuple[int, int],
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = _UNSET,
    ) -> ReadableSpan:
        """Make a span that began and ended at these times, in nanoseconds since 1970."""
        return ReadableSpan(
            name,
            context,
            parent,
            self.tracer.resource,
            attributes,
            kind=kind,
            status=status,
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=self.scope,
        )

    def begin(self, name: str, context: SpanContext, parent: SpanContext, began: int) -> Span:
        """Begin a span of the SDK's that goes on, and will end there."""
        self.ids.give(span_id=context.span_id)
        around = set_span_in_context(NonRecordingSpan(parent), Context())
        return self.tracer.start_span(name, around, start_time=began)
