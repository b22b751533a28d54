"""Handlers of events: what `bot.on_event` registers, each with a lane of its own."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Never
from gateway.inbound.ingest import FAILURES, HandlerFailed, is_cancelled
from gateway.inbound.ports import Taken
from gateway.protocol.cloudevents import CloudEvent
from gateway.telemetry.spans import Attributes
from gateway.telemetry.tracing import CONSUMER, origin_of_caller, span

_decoder = msgspec.json.Decoder(CloudEvent)


class EventHandler:
    """Handles the entries of one handler's lane."""

    def __init__(self, function: Callable[[CloudEvent], Awaitable[Any]]) -> None:
        self._function = function

    async def handle(self, taken: Taken) -> tuple[Entry, ...]:
        """Call the function with the event; what it returns is nobody's."""
        try:
            event = _decoder.decode(taken.entry.body)
        except (ValueError, RecursionError):
            raise Never("unserialisable: it cannot be written as JSON") from None
        if not event.traceparent:
            await self._call(event)
            return ()
        attributes: Attributes = {
            "gateway.event.type": event.type,
            "gateway.attempt": taken.deliveries,
        }
        origin = origin_of_caller(event.traceparent)
        with span("process event", CONSUMER, attributes, origin=origin):
            await self._call(event)
        return ()

    async def _call(self, event: CloudEvent) -> None:
        try:
            await self._function(event)
        except FAILURES as error:
            if isinstance(error, Exception) or is_cancelled(error):
                raise
            # sys.exit() in a handler ends the try, not the process.
            raise HandlerFailed(type(error).__name__) from error
