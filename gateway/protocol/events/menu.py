"""What a user does in the account's menu: PROTOCOL 6.1."""

from typing import Annotated

from msgspec import field

from gateway.protocol.events.base import ITEMS, Event
from gateway.protocol.messages import Part


class MenuEvent(Event, frozen=True, kw_only=True):
    """What the menu events share: ``event_key`` is the entry's key, or its target."""

    event_key: str = ""


class Click(MenuEvent, frozen=True, kw_only=True):
    """A user chose an entry; ``event_key`` is its key. See PROTOCOL 6.1."""


class View(MenuEvent, frozen=True, kw_only=True):
    """A user opened a link; ``event_key`` is the URL.

    ``menu_id`` is the conditional menu it stands in. See PROTOCOL 6.1.
    """

    menu_id: str | None = None


class ViewMiniProgram(MenuEvent, frozen=True, kw_only=True):
    """A user opened a mini program; ``event_key`` is the page's path.

    ``menu_id`` is the conditional menu it stands in. See PROTOCOL 6.1.
    """

    menu_id: str | None = None


class ScanCodeInfo(Part, frozen=True, kw_only=True):
    """What was scanned; a bar code's result is its kind, a comma and its digits."""

    scan_type: str = ""
    scan_result: str = ""


class ScanCodePush(MenuEvent, frozen=True, kw_only=True):
    """A user scanned a code, and the WeChat client shows the result. See PROTOCOL 6.1."""

    scan_code_info: ScanCodeInfo = field(default_factory=ScanCodeInfo)


class ScanCodeWaitMsg(MenuEvent, frozen=True, kw_only=True):
    """A user scanned a code, and the client waits for the account's reply. See PROTOCOL 6.1."""

    scan_code_info: ScanCodeInfo = field(default_factory=ScanCodeInfo)


class Pic(Part, frozen=True, kw_only=True):
    """A picture that follows as an image message; here only its MD5, in hexadecimal."""

    pic_md5_sum: str = ""


class SendPicsInfo(Part, frozen=True, kw_only=True):
    """The pictures a user chose."""

    count: int = 0
    pic_list: Annotated[list[Pic], ITEMS] = field(default_factory=list)


class PicSysPhoto(MenuEvent, frozen=True, kw_only=True):
    """A user takes pictures; they follow as image messages. See PROTOCOL 6.1."""

    send_pics_info: SendPicsInfo = field(default_factory=SendPicsInfo)


class PicPhotoOrAlbum(MenuEvent, frozen=True, kw_only=True):
    """A user takes or picks pictures; they follow as image messages. See PROTOCOL 6.1."""

    send_pics_info: SendPicsInfo = field(default_factory=SendPicsInfo)


class PicWeixin(MenuEvent, frozen=True, kw_only=True):
    """A user picks pictures of the album; they follow as image messages. See PROTOCOL 6.1."""

    send_pics_info: SendPicsInfo = field(default_factory=SendPicsInfo)


class SendLocationInfo(Part, frozen=True, kw_only=True):
    """A place: ``location_x`` is the latitude, ``location_y`` the longitude, in degrees."""

    location_x: float = field(default=0.0, name="Location_X")
    location_y: float = field(default=0.0, name="Location_Y")
    scale: int = 0
    label: str = ""
    poiname: str = ""


class LocationSelect(MenuEvent, frozen=True, kw_only=True):
    """A user chose a place on the map; a location message follows. See PROTOCOL 6.1."""

    send_location_info: SendLocationInfo = field(default_factory=SendLocationInfo)
