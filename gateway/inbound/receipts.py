"""Receipts of pushed messages: from the callback, by a lane of their own, to the jobs they close.

A receipt can come before the answer to the call that sent its message, and long before a repeated
call is answered: it waits, for as long as it can be about something of ours.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, Final, NamedTuple, Protocol

from gateway.inbound.claims import Entry
from gateway.inbound.consumer import Settlement
from gateway.inbound.context import Context
from gateway.inbound.ports import Taken
from gateway.inbound.stored import ORIGIN, store_fields, stored_fields
from gateway.outbound.jobs import Closed, Receipt
from gateway.outbound.receipts import RECEIPTS, receipts_of
from gateway.protocol.decode import decode
from gateway.protocol.messages import Message
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tap import TAP, Happening
from gateway.telemetry.tracing import CONSUMER, origin_of, span

RECEIPT: Final = "receipt"
"""The lane of receipts."""

FORGOTTEN_SECONDS: Final = 900.0
"""How long a receipt waits for its message: longer than a call is repeated (PROTOCOL 7.2). Behind
that it is about one that something else sent."""

LOOK_SECONDS: Final = 60.0
"""The longest pause between two looks for its message."""


class Closes(Protocol):
    """Closes jobs by their receipts: a JobQueue."""

    async def receive(self, receipts: Sequence[Receipt]) -> list[Closed | None]:
        """Close the jobs; return each receipt's, where it is known."""


class _Told(NamedTuple):
    taken: Taken
    receipts: list[Receipt]
    origin: str
    """The callback's trace; empty where that is not sampled."""


def receipt_entry(message: Message, context: Context) -> Entry | None:
    """Return the entry that brings a receipt to its job; None for any other message."""
    if not isinstance(message, RECEIPTS):
        return None
    # Where it is not sampled nobody wants to know whose trace it was.
    origin = context.origin if context.trace is not None else ""
    kind = type(message).__name__
    return Entry(RECEIPT, context.account.name, kind, store_fields(message, origin))


class ReceiptJoiner:
    """Closes jobs by receipts."""

    def __init__(
        self, closes: Closes, clock: Callable[[], float], metrics: Metrics | None = None
    ) -> None:
        """``clock`` gives Unix seconds."""
        self._metrics = metrics or Metrics()
        self._closes = closes
        self._clock = clock

    async def join(self, taken: Sequence[Taken], settlement: Settlement) -> None:
        """Close the jobs of these entries; put back what is about a message not known yet."""
        told = [
            _told(one, fields)
            for one, fields in await settlement.readable(taken, stored_fields, "unreadable")
        ]
        receipts = [*chain.from_iterable(one.receipts for one in told)]
        closed = await self._closes.receive(receipts)
        origins = chain.from_iterable([one.origin] * len(one.receipts) for one in told)
        for receipt, job, origin in zip(receipts, closed, origins, strict=True):
            if job is not None:
                labels = (receipt.account, receipt.channel.value, receipt.state.value)
                self._metrics.receipts.add(labels)
                if TAP.is_open:
                    TAP.tell(_happening(receipt, job))
                if job.trace or origin:
                    _trace(job, receipt.state.value, origin)
        known = iter(closed)
        known_of = [(one.taken, [*islice(known, len(one.receipts))]) for one in told]
        await asyncio.gather(
            *(self._settle(one, settlement, is_known=None not in found) for one, found in known_of)
        )

    async def _settle(self, taken: Taken, settlement: Settlement, *, is_known: bool) -> None:
        age = self._clock() - taken.stored_at
        if is_known or age > FORGOTTEN_SECONDS:
            await settlement.done(taken)
        else:
            await settlement.postpone(taken, min(max(age, 0.5), LOOK_SECONDS))


def _happening(receipt: Receipt, job: Closed) -> Happening:
    channel, outcome = receipt.channel.value, receipt.state.value
    told = (job.id, outcome, None, receipt.reason)
    return Happening("receipt", receipt.account, channel, receipt.open_id, *told)


def _told(taken: Taken, fields: dict[str, Any]) -> _Told:
    # What was stored before there were traces has none.
    origin = str(fields.pop(ORIGIN, ""))
    receipts = receipts_of(taken.entry.account, decode(fields), taken.stored_at)
    return _Told(taken, receipts, origin)


def _trace(job: Closed, outcome: str, callback: str) -> None:
    """Tell of a receipt in its job's trace and in its callback's, each with a link to the other."""
    attributes = {"gateway.job.id": job.id, "gateway.outcome": outcome}
    for name, origin, link in (
        ("receive receipt", job.trace, callback),
        ("settle receipt", callback, job.trace),
    ):
        if origin:
            with span(name, CONSUMER, attributes, origin=origin_of(origin), link=link):
                pass
