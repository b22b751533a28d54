"""What WeChat pushes to a third-party platform's authorisation URL: PROTOCOL 6.7."""

from collections.abc import Mapping
from typing import Final

from msgspec import field

from gateway.protocol.messages import Message, Part


class ComponentPush(Message, frozen=True, kw_only=True):
    """A push to the platform ``app_id``: it has neither MsgType nor users. See PROTOCOL 6.7."""

    app_id: str = ""
    info_type: str = ""


class ComponentVerifyTicket(ComponentPush, frozen=True, kw_only=True):
    """The ticket that buys the platform's token: pushed every 10 minutes, valid for 12 hours."""

    component_verify_ticket: str = ""


class AuthorizationPush(ComponentPush, frozen=True, kw_only=True):
    """What the granting pushes share; ``authorization_code_expired_time`` is in Unix seconds."""

    authorizer_appid: str = ""
    authorization_code: str = ""
    authorization_code_expired_time: int = 0
    pre_auth_code: str = ""


class Authorized(AuthorizationPush, frozen=True, kw_only=True):
    """An account granted the platform its permissions. See PROTOCOL 6.7."""


class UpdateAuthorized(AuthorizationPush, frozen=True, kw_only=True):
    """An account changed what it grants the platform. See PROTOCOL 6.7."""


class Unauthorized(ComponentPush, frozen=True, kw_only=True):
    """An account withdrew its grant. See PROTOCOL 6.7."""

    authorizer_appid: str = ""


class FasteregisterInfo(Part, frozen=True, kw_only=True, rename="lower"):
    """The company a mini program is registered for."""

    name: str = ""
    code: str = ""
    code_type: int = 0
    legal_persona_wechat: str = ""
    legal_persona_name: str = ""
    component_phone: str = ""


class NotifyThirdFasteregister(ComponentPush, frozen=True, kw_only=True, rename="lower"):
    """A mini program's quick registration is over; ``status`` 0 is success. See PROTOCOL 6.7.

    ``appid`` is the new mini program, ``app_id`` the platform.
    """

    appid: str = ""
    status: int = 0
    auth_code: str = ""
    msg: str = ""
    info: FasteregisterInfo = field(default_factory=FasteregisterInfo)


class UnknownComponentPush(ComponentPush, frozen=True, kw_only=True):
    """A push this package does not know; its own fields are in ``raw``."""


COMPONENT_PUSHES: Final[Mapping[str, type[ComponentPush]]] = {
    "component_verify_ticket": ComponentVerifyTicket,
    "authorized": Authorized,
    "updateauthorized": UpdateAuthorized,
    "unauthorized": Unauthorized,
    "notify_third_fasteregister": NotifyThirdFasteregister,
}
"""InfoType to struct: every push of PROTOCOL 6.7."""
