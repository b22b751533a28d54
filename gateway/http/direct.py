"""Callbacks straight from Granian: no task each, and one turn of the event loop instead of three.

Granian makes a task of each request before its body is read. Reading then takes the request
through two more threads and back into the loop, where the task is woken. But nothing is wanted of a
callback before its body is there. So the reading is started at once, in the thread that Granian
announces a request in, and what is called when it ends, in the loop, answers the callback.

The seam is private to Granian: the function that makes its scheduler of requests. Where a release
has it in another shape nothing is changed and every request is a task, which is slower and else the
same; then the line that says it is done is not in the log, and a test fails.
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

from gateway.errors import Reason
from gateway.http.asgi import is_callback
from gateway.http.callback import BODY_SECONDS, REFUSED, CallbackEndpoint
from gateway.http.eager import Eager
from gateway.http.rsgi_request import RsgiRequest, declared_size
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.callback")

SWEEP: Final = 1.0
"""Seconds between two looks for bodies that do not come."""

Schedule = Callable[[Any], object]
"""Takes a request as Granian announces it, its watcher. What it raises is lost."""


class Direct:
    """Takes the callbacks of one worker process."""

    def __init__(self, endpoint: CallbackEndpoint) -> None:
        self._endpoint = endpoint
        self._eager: Eager | None = None
        self._reading: dict[RsgiRequest, Any] = {}
        """What is being read, with its future. Added to in Granian's thread, taken from in the
        loop's: each a single step under the interpreter's lock."""

    def install(self, app: Callable[..., Any]) -> None:
        """Take the callbacks of an RSGI app, as soon as Granian makes a scheduler for it."""
        try:
            server: Any = import_module("granian.server.mp")
            futures: Any = import_module("granian._futures")
            make, scheduler, by_task = (
                server._new_cbscheduler,
                futures._BaseCBScheduler,
                futures._cbsched_aioschedule,
            )
        except (ImportError, AttributeError):
            return

        def make_direct(
            loop: asyncio.AbstractEventLoop, callback: Any, *rest: Any, **more: Any
        ) -> Any:
            # With anything around the app, such as a log of requests, it is left as it is.
            if inspect.getclosurevars(callback).nonlocals.get("inner") != app:
                return make(loop, callback, *rest, **more)
            made = scheduler(loop, callback, None, None, None)
            made._schedule_fn = self._schedule(loop, by_task(loop, made._ctx, callback))
            return made

        server._new_cbscheduler = make_direct

    def close(self) -> None:
        """Let go of what waits for callbacks."""
        if self._eager is not None:
            self._eager.close()

    def _schedule(self, loop: asyncio.AbstractEventLoop, by_task: Schedule) -> Schedule:
        """Return what takes callbacks from now on, and hands all else on."""
        _log.info("callbacks come straight from Granian, without a task for each")
        self._eager = Eager(loop)
        loop.call_later(SWEEP, self._sweep, loop, {})
        begin, handle, refuse = self._eager.begin, self._endpoint.handle, self._endpoint.refuse
        limit, reading = self._endpoint.max_body, self._reading

        def answer(request: RsgiRequest, future: Any) -> None:
            """Answer a callback whose body was read, in the loop."""
            del reading[request]
            try:
                body = future.result()
            except asyncio.CancelledError:
                refuse(request, Reason.SLOW)
            except Exception as gone:
                # The client went away. The future keeps the error, whose traceback would keep this
                # frame and with it the request, for good: Granian would count its connection as
                # open, take no more behind 1,024 of them, and not end when it is asked to.
                gone.__traceback__ = None
                request.answer(REFUSED)
            else:
                begin(handle(request, body))

        def schedule(watcher: Any) -> None:
            """Take a request, in Granian's thread."""
            try:
                scope = watcher.scope
                path = scope.path
                if (
                    scope.method == "POST"
                    and is_callback(path)
                    and (size := declared_size(scope)) is not None
                    and size <= limit
                ):
                    protocol = watcher.proto
                    request = RsgiRequest(scope, protocol, "POST", path)
                    reading[request] = future = protocol()
                    future.add_done_callback(partial(answer, request))
                else:
                    by_task(watcher)
            except Exception as error:
                # What Granian lets go of unanswered gets a 500: WeChat tries again.
                _log.error("callback not taken", error=type(error).__name__)

        return schedule

    def _sweep(self, loop: asyncio.AbstractEventLoop, seen: dict[RsgiRequest, int]) -> None:
        """Give up on bodies that do not come; ``seen`` tells how often each was looked at."""
        seen = {request: seen.get(request, 0) + 1 for request in list(self._reading)}
        for request, times in seen.items():
            future = self._reading.get(request)
            if times * SWEEP > BODY_SECONDS and future is not None:
                future.cancel()
        loop.call_later(SWEEP, self._sweep, loop, seen)
