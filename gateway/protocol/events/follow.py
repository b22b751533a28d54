"""Follow, scan and location: PROTOCOL 6.1."""

from typing import Final

from gateway.protocol.events.base import Event

_SCENE_PREFIX: Final = "qrscene_"


class Subscribe(Event, frozen=True, kw_only=True):
    """A user followed the account.

    ``event_key`` tells from where: empty for a plain follow, ``qrscene_<scene>`` from a QR code
    (with its ``ticket``), ``last_trade_no_<order>`` after a payment, ``scanbarcode|...`` or
    ``scanimage|...``. See PROTOCOL 6.1.
    """

    event_key: str = ""
    ticket: str | None = None

    @property
    def scene(self) -> str | None:
        """The scene of the QR code that was scanned, or None if there was none."""
        if self.event_key.startswith(_SCENE_PREFIX):
            return self.event_key.removeprefix(_SCENE_PREFIX)
        return None


class Unsubscribe(Event, frozen=True, kw_only=True):
    """A user left the account: no reply is possible, and personal data must go. PROTOCOL 6.1, 3."""

    event_key: str = ""


class Scan(Event, frozen=True, kw_only=True):
    """A follower scanned a QR code of the account. See PROTOCOL 6.1."""

    event_key: str = ""
    ticket: str = ""

    @property
    def scene(self) -> str:
        """The scene id or scene string of the QR code; here it comes without a prefix."""
        return self.event_key


class LocationEvent(Event, frozen=True, kw_only=True):
    """A user's position, reported by WeChat: degrees, ``precision`` in metres. PROTOCOL 6.1."""

    latitude: float = 0.0
    longitude: float = 0.0
    precision: float = 0.0


class Enter(Event, frozen=True, kw_only=True):
    """A user opened the chat; no longer sent to new accounts. See PROTOCOL 6.1."""
