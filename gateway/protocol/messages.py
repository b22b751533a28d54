"""The messages that users send, and the base that everything received shares.

A struct's attributes are the XML names in snake_case. What WeChat always sends has an empty default
("", 0, 0.0), what it may leave out is None. Numbers are numbers; identifiers are text, except those
that PROTOCOL gives as integers.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field


class Part(Struct, frozen=True, kw_only=True, gc=False, rename="pascal"):
    """An element inside a message or an event."""


class Message(Struct, frozen=True, kw_only=True, gc=False, rename="pascal"):
    """Anything WeChat delivers to the account: a user's message, an event or a platform push.

    ``to_user_name`` is the account's gh_ id, ``from_user_name`` the user's openid, ``create_time``
    Unix seconds (UTC). ``raw`` holds the names and values as received, so nothing WeChat adds is
    lost. See PROTOCOL 5 and 6.
    """

    to_user_name: str = ""
    from_user_name: str = ""
    create_time: int = 0
    msg_type: str = ""
    # No XML document can hold an element of this name.
    raw: dict[str, Any] = field(default_factory=dict, name=" raw")


class UserMessage(Message, frozen=True, kw_only=True):
    """A message a user sent.

    ``msg_id`` is 0 where a mini program sends an id that is no number; ``raw["MsgId"]`` keeps it.
    ``msg_data_id`` and ``idx`` (the article's number, from 1) come only with a message sent from
    an article's page. See PROTOCOL 5.
    """

    msg_id: int = 0
    msg_data_id: str | None = None
    idx: int | None = None


class Text(UserMessage, frozen=True, kw_only=True):
    """A text message.

    ``content`` may hold control characters that XML forbids. ``biz_msg_menu_id`` is the entry a
    user chose in a menu message. See PROTOCOL 5.
    """

    content: str = ""
    biz_msg_menu_id: str | None = field(default=None, name="bizmsgmenuid")


class Image(UserMessage, frozen=True, kw_only=True):
    """A picture, at ``pic_url`` or by ``media_id``. See PROTOCOL 5."""

    pic_url: str = ""
    media_id: str = ""


class Voice(UserMessage, frozen=True, kw_only=True):
    """A voice message.

    ``format`` is amr or speex, ``media_id_16k`` the same recording at 16 kHz, ``recognition`` the
    text WeChat heard where the account has recognition. See PROTOCOL 5.
    """

    media_id: str = ""
    format: str = ""
    media_id_16k: str | None = field(default=None, name="MediaId16K")
    recognition: str | None = None


class Video(UserMessage, frozen=True, kw_only=True):
    """A video with its preview picture. See PROTOCOL 5."""

    media_id: str = ""
    thumb_media_id: str = ""


class ShortVideo(UserMessage, frozen=True, kw_only=True):
    """A video recorded in the chat, with its preview picture. See PROTOCOL 5."""

    media_id: str = ""
    thumb_media_id: str = ""


class Location(UserMessage, frozen=True, kw_only=True):
    """A place a user sent.

    ``location_x`` is the latitude and ``location_y`` the longitude, in degrees; ``scale`` the
    map's zoom level; ``label`` may be empty. See PROTOCOL 5.
    """

    location_x: float = field(default=0.0, name="Location_X")
    location_y: float = field(default=0.0, name="Location_Y")
    scale: int = 0
    label: str = ""


class Link(UserMessage, frozen=True, kw_only=True):
    """A web page a user shared. See PROTOCOL 5."""

    title: str = ""
    description: str = ""
    url: str = ""


class File(UserMessage, frozen=True, kw_only=True):
    """A file a user sent: seen in traffic, not documented.

    ``file_total_len`` is in bytes. See PROTOCOL 5.
    """

    title: str = ""
    description: str = ""
    file_key: str = ""
    file_md5: str = ""
    file_total_len: int = 0


class MiniProgramPage(UserMessage, frozen=True, kw_only=True):
    """A mini program's card sent to its customer service. See PROTOCOL 5."""

    title: str = ""
    app_id: str = ""
    page_path: str = ""
    thumb_url: str = ""
    thumb_media_id: str = ""


class DeviceMessage(UserMessage, frozen=True, kw_only=True):
    """What the three types of the retired device function share.

    ``content`` is base64; ``open_id`` the device's user. See PROTOCOL 5.
    """

    device_type: str = ""
    device_id: str = field(default="", name="DeviceID")
    session_id: str = field(default="", name="SessionID")
    content: str = ""
    open_id: str = field(default="", name="OpenID")


class DeviceText(DeviceMessage, frozen=True, kw_only=True):
    """Data a device sent. See PROTOCOL 5."""


class DeviceEvent(DeviceMessage, frozen=True, kw_only=True):
    """What happened to a device: ``event`` is bind or unbind. See PROTOCOL 5."""

    event: str = ""


class Hardware(DeviceMessage, frozen=True, kw_only=True):
    """A message of a device that WeChat's hardware platform handed on. See PROTOCOL 5."""


class UnknownMessage(UserMessage, frozen=True, kw_only=True):
    """A message of a type this package does not know; its own fields are in ``raw``."""


MESSAGES: Final[Mapping[str, type[Message]]] = {
    "text": Text,
    "image": Image,
    "voice": Voice,
    "video": Video,
    "shortvideo": ShortVideo,
    "location": Location,
    "link": Link,
    "file": File,
    "miniprogrampage": MiniProgramPage,
    "device_text": DeviceText,
    "device_event": DeviceEvent,
    "hardware": Hardware,
}
"""MsgType to struct: every type of PROTOCOL 5, none of which holds nested elements."""
