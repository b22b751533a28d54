"""Customer service, verification and authorisation: PROTOCOL 6.4; guides: PROTOCOL 6.6."""

from msgspec import field

from gateway.protocol.events.base import Event
from gateway.protocol.messages import Part


class KfCreateSession(Event, frozen=True, kw_only=True):
    """Customer service took a user on. See PROTOCOL 6.4."""

    kf_account: str = ""


class KfCloseSession(Event, frozen=True, kw_only=True):
    """Customer service is done with a user. See PROTOCOL 6.4."""

    kf_account: str = ""


class KfSwitchSession(Event, frozen=True, kw_only=True):
    """One customer-service account handed a user on to another. See PROTOCOL 6.4."""

    from_kf_account: str = ""
    to_kf_account: str = ""


class UserEnterTempsession(Event, frozen=True, kw_only=True):
    """A user opened a mini program's customer service. See PROTOCOL 6.4.

    ``session_from`` is what the page's button says.
    """

    session_from: str = ""


class VerificationPassed(Event, frozen=True, kw_only=True):
    """What the events of a valid verification share: Unix seconds until when."""

    expired_time: int = 0


class QualificationVerifySuccess(VerificationPassed, frozen=True, kw_only=True):
    """The account's qualification was verified: it now has its interfaces. See PROTOCOL 6.4."""


class NamingVerifySuccess(VerificationPassed, frozen=True, kw_only=True):
    """The account's name was verified. See PROTOCOL 6.4."""


class AnnualRenew(VerificationPassed, frozen=True, kw_only=True):
    """The verification is due to be renewed. See PROTOCOL 6.4."""


class VerifyExpired(VerificationPassed, frozen=True, kw_only=True):
    """The verification has lapsed; ``expired_time`` is when. See PROTOCOL 6.4."""


class VerificationFailed(Event, frozen=True, kw_only=True):
    """What the events of a failed verification share: Unix seconds of when, and why."""

    fail_time: int = 0
    fail_reason: str = ""


class QualificationVerifyFail(VerificationFailed, frozen=True, kw_only=True):
    """The account's qualification was not verified. See PROTOCOL 6.4."""


class NamingVerifyFail(VerificationFailed, frozen=True, kw_only=True):
    """The account's name was not verified. See PROTOCOL 6.4."""


class AuthorizationChange(Event, frozen=True, kw_only=True):
    """What the authorisation events share.

    ``from_user_name`` is the platform here: the user is ``open_id``, which was seen to be missing
    in user_info_modified. ``revoke_info`` is the code of what was revoked, as text. ``plugin_id``
    and ``open_pid`` come with mini-program plug-ins. See PROTOCOL 6.4.
    """

    open_id: str = field(default="", name="OpenID")
    app_id: str = field(default="", name="AppID")
    revoke_info: str = ""
    union_id: str | None = field(default=None, name="UnionID")
    plugin_id: str | None = field(default=None, name="PluginID")
    open_pid: str | None = field(default=None, name="OpenPID")


class UserInfoModified(AuthorizationChange, frozen=True, kw_only=True):
    """A user changed data that the account was allowed to see. See PROTOCOL 6.4."""


class UserAuthorizationRevoke(AuthorizationChange, frozen=True, kw_only=True):
    """A user withdrew a permission: the data must be deleted. See PROTOCOL 6.4 and 3."""


class UserAuthorizationCancellation(AuthorizationChange, frozen=True, kw_only=True):
    """A user closed the WeChat account: the data must be deleted. See PROTOCOL 6.4 and 3."""


class GuideScan(Part, frozen=True, kw_only=True, rename="lower"):
    """A guide's QR code and the user who scanned it."""

    qrcode_guide_account: str = ""
    qrcode_guide_openid: str = ""
    openid: str = ""
    action: int = 0
    qrcode_info: str = ""


class GuideQrcodeScan(Event, frozen=True, kw_only=True):
    """A user scanned a shopping guide's QR code. See PROTOCOL 6.6."""

    guide_scan_event: GuideScan = field(default_factory=GuideScan)
