"""The trace of one delivery of a message: notes while it is answered, spans when they are exported.

To note is all that is done on the way of a callback. The thread that exports makes the spans of
many deliveries one after the other, by when what makes them is in the processor's caches: for one
in a hundred callbacks it hardly ever is.
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


class MessageTrace(Noted):
    """What is noted of one delivery of a message that is sampled."""

    __slots__ = (
        *("_began", "_describe", "_ended", "_making", "_mark", "_name", "_parent", "_parts"),
        *("_status", "span_id", "trace_id"),
    )

    def __init__(
        self,
        making: Making,
        name: str,
        trace_id: str,
        parent: SpanContext | None,
        began: int,
        describe: Callable[[], Attributes],
    ) -> None:
        """``trace_id`` is 32 hex digits; ``began`` in nanoseconds since 1970.

        ``describe`` tells what it is about, when that is exported.
        """
        self.trace_id = trace_id
        self.span_id = making.bits(64) or 1
        self._making = making
        self._name = name
        self._parent = parent
        self._began = self._mark = began
        self._ended = self._status = 0
        self._describe = describe
        self._parts: list[_Step | HandlerSpan] = []

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
        self._parts.append((name, self._mark, now, attributes))
        self._mark = now

    def handling(self, handler: str) -> "HandlerSpan":
        """Return the handler's span, to be entered."""
        return HandlerSpan(self, self._making, handler)

    def handled(self, part: "HandlerSpan") -> None:
        """Take the handler's span, which has ended: that may be after the answer."""
        if self._ended:
            self._making.take(part)
        else:
            self._parts.append(part)

    def end(self, status: int) -> None:
        """Tell that it was answered so."""
        self._ended, self._status = time.time_ns(), status
        self._making.take(self)

    def spans(self) -> Iterator[ReadableSpan]:
        """Make them."""
        making, root = self._making, self.root
        for part in self._parts:
            if isinstance(part, HandlerSpan):
                yield from part.spans()
            else:
                name, began, ended, about = part
                yield making.make(name, making.child_of(root), root, about, (began, ended))
        attributes = {**self._describe(), "http.response.status_code": self._status}
        status = _UNSET
        if self._status >= 500:
            attributes["error.type"] = str(self._status)
            status = _ERROR
        times = (self._began, self._ended)
        yield making.make(
            self._name, root, self._parent, attributes, times, SpanKind.SERVER, status
        )


_Step = tuple[str, int, int, Attributes | None]
"""A name, nanoseconds since 1970 from and to, attributes."""

_UNSET: Final = Status(StatusCode.UNSET)
_ERROR: Final = Status(StatusCode.ERROR)

# What OpenTelemetry calls the current span in a context; to write it by itself is much quicker.
(_CURRENT,) = set_span_in_context(INVALID_SPAN, Context())


class HandlerSpan(Noted, Span):
    """The span of a handler, current within: one of the SDK's from when somebody adds to it.

    Hardly any handler does.
    """

    def __init__(self, trace: MessageTrace, making: Making, handler: str) -> None:
        self._trace = trace
        self._making = making
        self._handler = handler
        self._context: SpanContext | None = None
        self._real: Span | None = None
        self._began = self._ended = 0
        self._error = ""

    def __enter__(self) -> Self:
        self._began = time.time_ns()
        self._token: Token[Context] = contexts.attach(Context({_CURRENT: self}))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        contexts.detach(self._token)
        if kind is not None:
            # Its words may be a user's.
            self._error = kind.__name__
        self.end()

    def end(self, end_time: int | None = None) -> None:
        if self._ended:
            return
        self._ended = end_time or time.time_ns()
        if self._real is None:
            self._trace.handled(self)
            return
        if self._error:
            self._real.set_status(Status(StatusCode.ERROR, self._error))
            self._real.set_attribute("error.type", self._error)
        self._real.end(self._ended)

    def spans(self) -> Iterator[ReadableSpan]:
        attributes, status = None, _UNSET
        if self._error:
            attributes = {"error.type": self._error}
            status = Status(StatusCode.ERROR, self._error)
        times = (self._began, self._ended)
        context = self.get_span_context()
        yield self._making.make(
            f"handle {self._handler}", context, self._trace.root, attributes, times, status=status
        )

    @property
    def count(self) -> int:
        return 1

    def get_span_context(self) -> SpanContext:
        if self._context is None:
            self._context = self._making.child_of(self._trace.root)
        return self._context

    def is_recording(self) -> bool:
        return not self._ended

    def _sdk(self) -> Span:
        if self._real is None:
            context, parent = self.get_span_context(), self._trace.root
            self._real = self._making.begin(f"handle {self._handler}", context, parent, self._began)
        return self._real

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._sdk().set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._sdk().set_attribute(key, value)

    def add_event(
        self, name: str, attributes: AnyAttributes = None, timestamp: int | None = None
    ) -> None:
        self._sdk().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: AnyAttributes = None) -> None:
        self._sdk().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._sdk().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._sdk().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: AnyAttributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._sdk().record_exception(exception, attributes, timestamp, escaped)
