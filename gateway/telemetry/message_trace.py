"""The trace of one delivery of a message: notes while it is answered, spans when they are exported.

To note is all that is done on the way of a callback, in as few steps as there can be: what one in a
hundred callbacks does is hardly ever in the processor's caches, and takes several times as long as
if all did it. The thread that exports makes the spans, of many deliveries one after the other.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes as AnyAttributes
from opentelemetry.util.types import AttributeValue

from gateway.telemetry.spans import SAMPLED, Attributes, Making, Noted

_Part = tuple[str, int, int, Attributes | None, int, str]
"""A name, nanoseconds since 1970 from and to, attributes, a span's id or 0, an error's type."""

_UNSET: Final = Status(StatusCode.UNSET)

# What OpenTelemetry calls the current span in a context: written by its own function it takes five
# calls more.
(_CURRENT,) = set_span_in_context(INVALID_SPAN, Context())


class MessageTrace(Noted):
    """What is noted of one delivery of a message that is sampled."""

    __slots__ = (
        *("_began", "_describe", "_ended", "_mark", "_name", "_parent", "_parts", "_status"),
        *("making", "span_id", "trace_id"),
    )

    def __init__(
        self,
        making: Making,
        name: str,
        trace_id: str,
        parent: SpanContext | None,
        times: tuple[int, int],
        describe: Callable[[], Attributes],
    ) -> None:
        """``trace_id`` is 32 hex digits; ``times`` are when it arrived and when it was verified.

        In nanoseconds since 1970: what is verified is what lies before the first step.
        ``describe`` tells what it is about, when that is exported.
        """
        self.making = making
        self.trace_id = trace_id
        self.span_id = making.bits(64) or 1
        self._name = name
        self._parent = parent
        self._began, self._mark = times
        self._ended = self._status = 0
        self._describe = describe
        self._parts: list[_Part] = []

    @property
    def origin(self) -> str:
        """Where what is stored now comes from, as tracing's ``written`` writes it."""
        return f"{self.trace_id}-{self.span_id:016x}"

    @property
    def root(self) -> SpanContext:
        """Its first span, to whoever goes on from there."""
        return SpanContext(int(self.trace_id, 16), self.span_id, False, SAMPLED)

    @property
    def count(self) -> int:
        """How many spans it becomes."""
        return len(self._parts) + 1

    def step(self, name: str, attributes: Attributes | None = None) -> None:
        """Tell what was done since the step before."""
        now = time.time_ns()
        self._parts.append((name, self._mark, now, attributes, 0, ""))
        self._mark = now

    def handled(self, part: _Part) -> None:
        """Tell what a handler did: that may be after the answer."""
        if self._ended:
            self.making.take(_Late(self.making, self.root, part))
        else:
            self._parts.append(part)

    def end(self, status: int) -> None:
        """Tell that it was answered so."""
        self._ended, self._status = time.time_ns(), status
        self.making.take(self)

    def spans(self) -> Iterator[ReadableSpan]:
        """Make them."""
        root = self.root
        for part in self._parts:
            yield _made(self.making, root, part)
        attributes = {**self._describe(), "http.response.status_code": self._status}
        status = _UNSET
        if self._status >= 500:
            attributes["error.type"] = str(self._status)
            status = Status(StatusCode.ERROR)
        times = (self._began, self._ended)
        yield self.making.make(
            self._name, root, self._parent, attributes, times, SpanKind.SERVER, status
        )


class _Late(Noted):
    """What a handler did whose delivery was answered before."""

    def __init__(self, making: Making, root: SpanContext, part: _Part) -> None:
        self._making = making
        self._root = root
        self._part = part

    @property
    def count(self) -> int:
        return 1

    def spans(self) -> Iterator[ReadableSpan]:
        yield _made(self._making, self._root, self._part)


def _made(making: Making, root: SpanContext, part: _Part) -> ReadableSpan:
    name, began, ended, attributes, span_id, error = part
    status = _UNSET
    if error:
        attributes, status = {"error.type": error}, Status(StatusCode.ERROR, error)
    context = making.child_of(root, span_id)
    return making.make(name, context, root, attributes, (began, ended), status=status)


class HandlerSpan(Span):
    """The span of a handler, current within: one of the SDK's from when somebody adds to it.

    Hardly any handler does.
    """

    def __init__(self, trace: MessageTrace, handler: str) -> None:
        self._trace = trace
        self._handler = handler
        self._span_id = trace.making.bits(64) or 1
        self._real: Span | None = None
        self._has_ended = False

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.time_ns()
        self._token: Token[Context] = contexts.attach(Context({_CURRENT: self}))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; of an error only its type is told: its words may be a user's."""
        contexts.detach(self._token)
        self._has_ended = True
        failure = "" if kind is None else kind.__name__
        real, now = self._real, time.time_ns()
        if real is None:
            name = f"handle {self._handler}"
            self._trace.handled((name, self._began, now, None, self._span_id, failure))
            return
        if failure:
            real.set_status(Status(StatusCode.ERROR, failure))
            real.set_attribute("error.type", failure)
        real.end(now)

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: it ends with its handler."""

    def get_span_context(self) -> SpanContext:
        """Return what its children, and what is stored, go on from."""
        trace = self._trace
        return trace.making.child_of(trace.root, self._span_id)

    def is_recording(self) -> bool:
        """Tell whether its handler still runs."""
        return not self._has_ended

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Tell more of it."""
        self._recorded().set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Tell more of it."""
        self._recorded().set_attribute(key, value)

    def add_event(
        self, name: str, attributes: AnyAttributes = None, timestamp: int | None = None
    ) -> None:
        """Tell what happened in it."""
        self._recorded().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: AnyAttributes = None) -> None:
        """Tell what else it has to do with."""
        self._recorded().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Call it something else."""
        self._recorded().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Tell how it went."""
        self._recorded().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: AnyAttributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Tell what was raised in it."""
        self._recorded().record_exception(exception, attributes, timestamp, escaped)

    def _recorded(self) -> Span:
        """Return the SDK's span that it is from now on; behind its end, one that takes nothing."""
        if self._real is None:
            if self._has_ended:
                return INVALID_SPAN
            trace = self._trace
            context, name = self.get_span_context(), f"handle {self._handler}"
            self._real = trace.making.begin(name, context, trace.root, self._began)
        return self._real
