"""Handlers of events: what `bot.on_event` registers, each with a lane of its own."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Never
from gateway.inbound.ingest import FAILURES, HandlerFailed, is_cancelled
from gateway.inbound.ports import Taken
from gateway.protocol.cloudevents import CloudEvent

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
        try:
            await self._function(event)
        except FAILURES as error:
            if isinstance(error, Exception) or is_cancelled(error):
                raise
            # sys.exit() in a handler ends the try, not the process.
            raise HandlerFailed(type(error).__name__) from error
        return ()
