"""What a callback is to the world outside: one event, in the names of CloudEvents 1.0.

The attributes say whose event it is and what happened; ``data`` is what WeChat sent. One table says
which type of event each message is. The types of other producers' events have a slash, WeChat's
have none.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.json import encode as _encode
from msgspec.structs import fields as struct_fields

from gateway.protocol import events
from gateway.protocol.messages import MESSAGES, Message, UnknownMessage

CONTENT_TYPE: Final = "application/cloudevents+json"
"""The media type of an encoded event: CloudEvents JSON format 1.0, structured mode."""


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, by the attribute names of CloudEvents 1.0; what is not known is left out.

    ``id`` is the message's dedupe key in hexadecimal, ``source`` the account's path on the gateway,
    ``subject`` the user's openid, ``time`` WeChat's CreateTime in RFC 3339 (UTC). ``account``,
    ``appid``, ``unionid`` and ``traceid`` are extension attributes. See PROTOCOL 3, 5 and 6.
    ``traceparent``, there where the message's trace is sampled, is that of the extension
    Distributed Tracing 1.0: the span that the event was made in.

    Of another producer's event ``source`` is /events/PRODUCER, ``time`` when it was signed, and
    ``data`` what was sent: any JSON value, or a text. It has no account, appid or subject.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    datacontenttype: str
    account: str | None = None
    appid: str | None = None
    subject: str | None = None
    time: str | None = None
    unionid: str | None = None
    traceid: str | None = None
    traceparent: str | None = None
    data: Any


TYPES: Final[Mapping[type[Message], str]] = {
    **{kind: f"message.{name}" for name, kind in MESSAGES.items()},
    UnknownMessage: "message.unknown",
    # 6.1
    events.Subscribe: "user.subscribed",
    events.Unsubscribe: "user.unsubscribed",
    events.Scan: "qr.scanned",
    events.LocationEvent: "location.reported",
    events.Enter: "chat.opened",
    events.Click: "menu.clicked",
    events.View: "menu.viewed",
    events.ViewMiniProgram: "menu.mini_program_viewed",
    events.ScanCodePush: "menu.code_scanned",
    events.ScanCodeWaitMsg: "menu.code_scanned_for_reply",
    events.PicSysPhoto: "menu.photo_taken",
    events.PicPhotoOrAlbum: "menu.photo_chosen",
    events.PicWeixin: "menu.album_photo_chosen",
    events.LocationSelect: "menu.location_selected",
    # 6.2
    events.TemplateSendJobFinish: "template.sent",
    events.MassSendJobFinish: "mass.sent",
    events.PublishJobFinish: "publication.finished",
    # 6.3
    events.SubscribeMsgPopup: "notice.answered",
    events.SubscribeMsgChange: "notice.changed",
    events.SubscribeMsgSent: "notice.sent",
    # 6.4
    events.KfCreateSession: "service.session_opened",
    events.KfCloseSession: "service.session_closed",
    events.KfSwitchSession: "service.session_switched",
    events.UserEnterTempsession: "service.session_entered",
    events.QualificationVerifySuccess: "verification.qualification_passed",
    events.QualificationVerifyFail: "verification.qualification_failed",
    events.NamingVerifySuccess: "verification.naming_passed",
    events.NamingVerifyFail: "verification.naming_failed",
    events.AnnualRenew: "verification.renewal_due",
    events.VerifyExpired: "verification.expired",
    events.UserInfoModified: "user.info_modified",
    events.UserAuthorizationRevoke: "user.authorization_revoked",
    events.UserAuthorizationCancellation: "user.account_closed",
    # 6.5
    events.CardPassCheck: "card.approved",
    events.CardNotPassCheck: "card.refused",
    events.UserGetCard: "card.received",
    events.UserGiftingCard: "card.given",
    events.UserDelCard: "card.deleted",
    events.UserConsumeCard: "card.redeemed",
    events.UserPayFromPayCell: "card.paid_with",
    events.UserViewCard: "card.viewed",
    events.UserEnterSessionFromCard: "card.session_entered",
    events.CardSkuRemind: "card.stock_low",
    events.CardPayOrder: "card.coins_changed",
    events.CardMerchantCheckResult: "card.merchant_audited",
    events.UpdateMemberCard: "member_card.updated",
    events.SubmitMembercardUserInfo: "member_card.activated",
    events.GiftcardPayDone: "gift_card.paid",
    events.GiftcardSendToFriend: "gift_card.given",
    events.GiftcardUserAccept: "gift_card.accepted",
    # 6.6
    events.PoiCheckNotify: "store.audited",
    events.AddStoreAuditInfo: "store.addition_audited",
    events.ModifyStoreAuditInfo: "store.change_audited",
    events.ApplyMerchantAuditInfo: "store.merchant_audited",
    events.CreateMapPoiAuditInfo: "store.place_audited",
    events.WifiConnected: "wifi.connected",
    events.ShakearoundUserShake: "beacon.shaken",
    events.MerchantOrder: "order.paid",
    events.UserScanProduct: "product.scanned",
    events.UserScanProductEnterSession: "product.session_entered",
    events.UserScanProductAsync: "product.page_requested",
    events.UserScanProductVerifyAction: "product.audited",
    events.UserAuthorizeInvoice: "invoice.authorized",
    events.UpdateInvoiceStatus: "invoice.updated",
    events.SubmitInvoiceTitle: "invoice.title_submitted",
    events.GuideQrcodeScan: "guide.scanned",
    events.WeappAuditSuccess: "mini_program.approved",
    events.WeappAuditFail: "mini_program.refused",
    events.WeappAuditDelay: "mini_program.delayed",
    events.WxaMediaCheck: "media.checked",
    events.DebugDemo: "debug.demo",
    events.UnknownEvent: "event.unknown",
    # 6.7
    events.ComponentVerifyTicket: "component.ticket",
    events.Authorized: "component.authorized",
    events.UpdateAuthorized: "component.authorization_updated",
    events.Unauthorized: "component.unauthorized",
    events.NotifyThirdFasteregister: "component.registered",
    events.UnknownComponentPush: "component.unknown",
}
"""What decode can return, to the type of its event: PROTOCOL 5 and 6."""

MAX_TYPE: Final = 128
"""Characters of a type."""

# So that it is also a NATS subject, a routing key, a name in a log line.
_PRODUCED: Final = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*")

# What CloudEvents 1.0 (Type System, String) keeps out of an attribute.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def event_of(
    account: str,
    app_id: str,
    message: Message,
    key: bytes,
    trace_id: str | None = None,
    traceparent: str = "",
) -> CloudEvent:
    """Return the event that a message is, for the account of this name.

    ``key`` is the message's dedupe key. The message is one that decode returned. An empty
    ``traceparent`` is none.
    """
    return CloudEvent(
        specversion="1.0",
        id=key.hex(),
        source=f"/wechat/{account}",
        type=TYPES[type(message)],
        datacontenttype="application/json",
        account=account,
        appid=app_id,
        subject=_attribute(_user(message)),
        time=rfc3339(message.create_time),
        unionid=_attribute(getattr(message, "union_id", None)),
        traceid=_attribute(trace_id),
        traceparent=traceparent or None,
        data=_data(message),
    )


def encode(event: CloudEvent) -> bytes:
    """Return an event in the JSON format of CloudEvents 1.0, structured mode.

    Raise ValueError where it cannot be written: JSON may have brought half a character, or lists
    in lists without end.
    """
    try:
        return _encode(event)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def matches(pattern: str, type_: str) -> bool:
    """Say whether a filter means a type: ``user.subscribed``, ``user.*`` for a family, ``*``."""
    if pattern.endswith("*"):
        return type_.startswith(pattern[:-1])
    return pattern == type_


def matches_any(patterns: Iterable[str], type_: str) -> bool:
    """Say whether one of the filters means a type."""
    return any(matches(pattern, type_) for pattern in patterns)


def is_produced(type_: str) -> bool:
    """Say whether a type is one that other producers' events may have: ``FAMILY/NAME``."""
    return len(type_) <= MAX_TYPE and _PRODUCED.fullmatch(type_) is not None


def is_pattern(pattern: str) -> bool:
    """Say whether an event can be of a type that the filter means."""
    example = f"{pattern[:-1]}x" if pattern.endswith("/*") else pattern
    return is_produced(example) or any(matches(pattern, type_) for type_ in TYPES.values())


def _user(message: Message) -> str:
    if isinstance(message, events.AuthorizationChange):
        return message.open_id  # The sender is the platform: PROTOCOL 6.4.
    return message.from_user_name


def _attribute(text: str | None) -> str | None:
    # An empty attribute is none: CloudEvents 1.0 wants them non-empty.
    return _FORBIDDEN.sub("\ufffd", text) if text else None


def rfc3339(seconds: int) -> str | None:
    """Return Unix seconds as a CloudEvent has them; None for what is no time."""
    try:
        # Zero stands for a time that was not there.
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _data(message: Message) -> dict[str, Any]:
    """Return the struct's fields by their names, and what only raw has by WeChat's own."""
    data: dict[str, Any] = _plain(message)
    del data["raw"]
    wire = _wire_names(type(message))
    for name, value in message.raw.items():
        if name not in wire or _was_not_read(data.get(wire[name]), value):
            data.setdefault(name, value)
    return data


@cache
def _wire_names(kind: type[Struct]) -> dict[str, str]:
    names = {}
    for field in struct_fields(kind):
        if get_origin(field.type) is Annotated:
            # JSON has wrapped entries without their wrapper: PROTOCOL 6.3.
            names[get_args(field.type)[1].extra["each"]] = field.name
        names[field.encode_name] = field.name
    return names


def _was_not_read(number: Any, received: Any) -> bool:
    """Say whether a number stayed at its default because what came in its place is none."""
    if isinstance(number, str) or number or not isinstance(received, str):
        return False
    return bool(re.search(r"[^\s0.+-]", received))


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: _plain(inner) for name, inner in pairs if inner is not None}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value
