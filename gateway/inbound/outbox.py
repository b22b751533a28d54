"""Where a message goes beside its handler: an entry for each that wants its event."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from gateway.inbound.archiving import archive_entry
from gateway.inbound.claims import Entry
from gateway.inbound.context import Context
from gateway.inbound.people import people_entry
from gateway.inbound.receipts import receipt_entry
from gateway.protocol.cloudevents import TYPES, CloudEvent, encode, event_of, matches_any
from gateway.protocol.messages import Message

SINK: Final = "sink."
"""What the lane of a sink begins with; its name follows."""

EVENT: Final = "event."
"""What the lane of a handler of events begins with; the function's name follows."""


Note = Callable[[str, Message], None]
"""Is told that a message came to an account, by its name."""


class Subscription(NamedTuple):
    """Who wants which events."""

    lane: str
    types: tuple[str, ...]
    """Patterns, such as ``user.*``."""
    accounts: frozenset[str] | None = None
    """By name; all of them if None."""

    def wants(self, type_: str, account: str) -> bool:
        """Tell whether an event of this type and account is meant."""
        return matches_any(self.types, type_) and (
            self.accounts is None or account in self.accounts
        )


class Outbox:
    """Makes the entries that carry a message's event to its subscribers."""

    def __init__(
        self,
        subscriptions: Iterable[Subscription],
        *,
        archive: bool = False,
        receipts: bool = False,
        note: Note | None = None,
    ) -> None:
        """``archive`` tells whether every message goes to the archive's lane too.

        ``receipts`` tells whether those of pushed messages go to theirs. ``note`` is told of each
        message, where people are known: what it tells of them goes to their lane.
        """
        self._subscriptions = list(subscriptions)
        self._archive = archive
        self._receipts = receipts
        self._note = note
        self.is_wanted = archive or receipts or note is not None or bool(self._subscriptions)
        """Whether anybody wants anything."""
        self._lanes: dict[tuple[type[Message], str], tuple[str, ...]] = {}

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscriber, who gets what comes from now on."""
        self._subscriptions.append(subscription)
        self.is_wanted = True
        self._lanes.clear()

    def entries(self, key: bytes, message: Message, context: Context) -> tuple[Entry, ...]:
        """Return the entries of a message with this dedupe key; none where nobody wants it."""
        if not self.is_wanted:
            return ()
        account = context.account
        kind = (type(message), account.name)
        lanes = self._lanes.get(kind)
        if lanes is None:
            lanes = self._lanes[kind] = self.lanes(TYPES[type(message)], account.name)
        own = self._own(key, message, context)
        if not lanes:
            return own
        trace_id, traceparent = context.trace_id, context.traceparent
        event = event_of(account.name, account.app_id, message, key, trace_id, traceparent)
        try:
            body = encode(event)
        except ValueError:
            # Its consumers make dead letters of it.
            body = b""
        return own + tuple(Entry(lane, account.name, event.type, body) for lane in lanes)

    def _own(self, key: bytes, message: Message, context: Context) -> tuple[Entry, ...]:
        """Return the entries for the gateway's own use."""
        entries = [archive_entry(key, message, context)] if self._archive else []
        if self._receipts and (receipt := receipt_entry(message, context)) is not None:
            entries.append(receipt)
        if self._note is not None:
            self._note(context.account.name, message)
            if (told := people_entry(message, context)) is not None:
                entries.append(told)
        return tuple(entries)

    def produced(self, event: CloudEvent) -> tuple[Entry, ...]:
        """Return the entries of another producer's event; raise ValueError as encode does."""
        body = encode(event)
        return tuple(Entry(lane, "", event.type, body) for lane in self.lanes(event.type, ""))

    def lanes(self, type_: str, account: str) -> tuple[str, ...]:
        """Return the lanes of those who want an event; ``account`` is empty for nobody's."""
        return tuple(s.lane for s in self._subscriptions if s.wants(type_, account))


NOBODY: Final = Outbox(())
"""The outbox of a gateway without sinks."""
