"""What every event shares, and how a struct says that a list is wrapped."""

from typing import Final

from msgspec import Meta

from gateway.protocol.messages import Message

ITEMS: Final = Meta(extra={"each": "item"})
"""Marks a list whose entries are ``item`` elements of a wrapper."""

LIST: Final = Meta(extra={"each": "List"})
"""Marks a list whose entries are ``List`` elements of a wrapper."""


class Event(Message, frozen=True, kw_only=True):
    """Something that happened: ``event`` is its name as received, in whatever case.

    An event has no MsgId. See PROTOCOL 6.
    """

    event: str = ""


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An event this package does not know; its own fields are in ``raw``."""

    event_key: str = ""
