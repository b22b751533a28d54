"""Spans of requests that are no callbacks: noted as they come, begun once it is known who asks.

A request that is refused before has none, whatever ``traceparent`` it brings: nobody who is not
known can make the gateway sample. What a user does who is not known yet, such as to sign in, is
sampled by an id of the gateway's own.
"""

import re
import time
from contextvars import ContextVar, Token
from functools import cache
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Middleware, Receive, Scope, Send
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context

from gateway.telemetry.tracing import Caller, Tracing, caller_of, fail, tell_status

_FIELD: Final = re.compile(r"\{(\w+?)_?(?::\w+)?\}")
"""A part of a path that is filled in, as Litestar has it: ``{account:str}``, ``{id_:str}``."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))
"""Those that a span tells: whoever makes up others is not to make up spans' names."""


class Arrival:
    """A request, from its arrival to its answer."""

    __slots__ = ("_began", "_scope", "_span", "_token", "_tracing")

    def __init__(self, tracing: Tracing, scope: HTTPScope) -> None:
        self._began = time.time_ns()
        self._scope = scope
        self._tracing: Tracing | None = tracing
        """None where it is decided whether there is a span."""
        self._span: Span | None = None
        self._token: Token[Context] | None = None

    def known(self) -> None:
        """Begin the span of a caller who is known: as they say, where sampling follows callers."""
        # By hand: the first of most requests' few headers that anybody looks at.
        header = next((v for k, v in self._scope["headers"] if k == b"traceparent"), b"")
        self._begin(caller_of(header.decode("latin-1")), "")

    def anybody(self, account: str) -> None:
        """Begin the span of a caller who is not known, and has no say in it."""
        self._begin(None, account)

    def respond(self, message: Message) -> None:
        """Note the status, where this tells it."""
        if self._span is not None and message["type"] == "http.response.start":
            tell_status(self._span, message["status"])

    def end(self, error: BaseException | None = None) -> None:
        """End the span; ``error`` is what came in place of an answer."""
        if self._span is None:
            return
        if error is not None:
            fail(self._span, error)
        if self._token is not None:
            contexts.detach(self._token)
        self._span.end()

    def _begin(self, caller: Caller | None, account: str) -> None:
        tracing, self._tracing = self._tracing, None
        if tracing is None:
            return
        method, route = self._scope["method"], template_of(self._scope["path_template"])
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/; no path: ids stand in some.
        is_common = method in _METHODS
        attributes = {
            "http.request.method": method if is_common else "_OTHER",
            "http.route": route,
            "url.scheme": self._scope["scheme"],
        }
        if account:
            attributes["gateway.account"] = account
        name = f"{method if is_common else 'HTTP'} {route}"
        self._span = tracing.begin_request(name, caller, attributes, self._began)
        if self._span is not None:
            self._token = contexts.attach(set_span_in_context(self._span))


_ARRIVAL: ContextVar[Arrival | None] = ContextVar("ARRIVAL", default=None)


def is_traced() -> bool:
    """Tell whether the request at hand may have a span."""
    return _ARRIVAL.get() is not None


def trace_known() -> None:
    """Begin the span of the request at hand, whose caller is known by now."""
    if (arrival := _ARRIVAL.get()) is not None:
        arrival.known()


def trace_anybody(account: str) -> None:
    """Begin the span of the request at hand, for an account, by whoever that is."""
    if (arrival := _ARRIVAL.get()) is not None:
        arrival.anybody(account)


def tracing_middleware(tracing: Tracing) -> Middleware:
    """Return what stands around all routes where traces are on; where they are off, nothing."""

    def middleware(app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            arrival = Arrival(tracing, scope)

            async def respond(message: Message) -> None:
                arrival.respond(message)
                await send(message)

            token = _ARRIVAL.set(arrival)
            try:
                await app(scope, receive, respond)
            except BaseException as error:
                arrival.end(error)
                raise
            else:
                arrival.end()
            finally:
                _ARRIVAL.reset(token)

        return traced

    return middleware


@cache
def template_of(path: str) -> str:
    """Return a route's path as others write it: ``/push/messages/{id}``."""
    return _FIELD.sub(r"{\1}", path)
