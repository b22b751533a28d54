"""Subscription notices, agreed to, refused and sent: PROTOCOL 6.3.

XML wraps the entries in an element of the event's own; JSON has them at the top, as an array or,
where there is one only, as a bare object.
"""

from typing import Annotated

from msgspec import field

from gateway.protocol.events.base import LIST, Event
from gateway.protocol.messages import Part


class SubscribeMsgPopupItem(Part, frozen=True, kw_only=True):
    """A user's answer for one template.

    ``subscribe_status_string`` is accept or reject; ``popup_scene`` 1 an H5 page, 2 an article,
    0 a mini program. See PROTOCOL 6.3.
    """

    template_id: str = ""
    subscribe_status_string: str = ""
    popup_scene: int = 0


class SubscribeMsgPopup(Event, frozen=True, kw_only=True):
    """A user answered the question which notices to receive. See PROTOCOL 6.3."""

    items: Annotated[list[SubscribeMsgPopupItem], LIST] = field(
        default_factory=list, name="SubscribeMsgPopupEvent"
    )


class SubscribeMsgChangeItem(Part, frozen=True, kw_only=True):
    """A user's new setting for one template; only ``reject`` is pushed. See PROTOCOL 6.3."""

    template_id: str = ""
    subscribe_status_string: str = ""


class SubscribeMsgChange(Event, frozen=True, kw_only=True):
    """A user changed which notices to receive. See PROTOCOL 6.3."""

    items: Annotated[list[SubscribeMsgChangeItem], LIST] = field(
        default_factory=list, name="SubscribeMsgChangeEvent"
    )


class SubscribeMsgSentItem(Part, frozen=True, kw_only=True):
    """How the sending of one notice ended; ``error_code`` 0 is success. See PROTOCOL 6.3."""

    template_id: str = ""
    msg_id: int = field(default=0, name="MsgID")
    error_code: int = 0
    error_status: str = ""


class SubscribeMsgSent(Event, frozen=True, kw_only=True):
    """Notices were sent to a user, or could not be. See PROTOCOL 6.3."""

    items: Annotated[list[SubscribeMsgSentItem], LIST] = field(
        default_factory=list, name="SubscribeMsgSentEvent"
    )
