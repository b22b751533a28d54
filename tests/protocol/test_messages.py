"""The structs of messages, events and platform pushes, against the tables of PROTOCOL 5 and 6."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from itertools import count
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest
from msgspec.structs import fields as struct_fields

from gateway.kernels import extract
from gateway.protocol import decode as decode_module
from gateway.protocol import events, messages
from gateway.protocol.decode import COMPONENT_PUSHES, EVENTS, MESSAGES, decode
from gateway.protocol.events import Event, LocationSelect, Scan, Subscribe
from gateway.protocol.messages import Message, Part, Text

# The fields that PROTOCOL lists, beside those that all of a kind share. A star follows an element
# that may repeat.
_PICS = "EventKey SendPicsInfo.Count SendPicsInfo.PicList.item*.PicMd5Sum"
_DEVICE = "DeviceType DeviceID SessionID Content OpenID"
_PRODUCT = "KeyStandard KeyStr ExtInfo"
_STORE = "audit_id status reason is_upgrade poiid"
_CHANGE = "OpenID AppID RevokeInfo UnionID PluginID OpenPID"
_CARD = "CardId UserCardCode"
_GRANT = "AuthorizerAppid AuthorizationCode AuthorizationCodeExpiredTime PreAuthCode"
_COPYRIGHT = "CopyrightCheckResult.ResultList.item*"
_POPUP = "SubscribeMsgPopupEvent.List*"
_CHANGED = "SubscribeMsgChangeEvent.List*"
_SENT = "SubscribeMsgSentEvent.List*"

DOCUMENTED: dict[str, dict[str, str]] = {
    "message": {
        "text": "Content bizmsgmenuid",
        "image": "PicUrl MediaId",
        "voice": "MediaId Format MediaId16K Recognition",
        "video": "MediaId ThumbMediaId",
        "shortvideo": "MediaId ThumbMediaId",
        "location": "Location_X Location_Y Scale Label",
        "link": "Title Description Url",
        "file": "Title Description FileKey FileMd5 FileTotalLen",
        "miniprogrampage": "Title AppId PagePath ThumbUrl ThumbMediaId",
        "device_text": _DEVICE,
        "device_event": f"{_DEVICE} Event",
        "hardware": _DEVICE,
    },
    "event": {
        "subscribe": "EventKey Ticket",
        "unsubscribe": "EventKey",
        "scan": "EventKey Ticket",
        "location": "Latitude Longitude Precision",
        "click": "EventKey",
        "view": "EventKey MenuId",
        "view_miniprogram": "EventKey MenuId",
        "scancode_push": "EventKey ScanCodeInfo.ScanType ScanCodeInfo.ScanResult",
        "scancode_waitmsg": "EventKey ScanCodeInfo.ScanType ScanCodeInfo.ScanResult",
        "pic_sysphoto": _PICS,
        "pic_photo_or_album": _PICS,
        "pic_weixin": _PICS,
        "location_select": "EventKey SendLocationInfo.Location_X SendLocationInfo.Location_Y"
        " SendLocationInfo.Scale SendLocationInfo.Label SendLocationInfo.Poiname",
        "enter": "",
        "templatesendjobfinish": "MsgID Status",
        "masssendjobfinish": "MsgID Status TotalCount FilterCount SentCount ErrorCount"
        f" CopyrightCheckResult.Count {_COPYRIGHT}.ArticleIdx {_COPYRIGHT}.UserDeclareState"
        f" {_COPYRIGHT}.AuditState {_COPYRIGHT}.OriginalArticleUrl"
        f" {_COPYRIGHT}.OriginalArticleType {_COPYRIGHT}.CanReprint"
        f" {_COPYRIGHT}.NeedReplaceContent {_COPYRIGHT}.NeedShowReprintSource"
        " CopyrightCheckResult.CheckState ArticleUrlResult.Count"
        " ArticleUrlResult.ResultList.item*.ArticleIdx"
        " ArticleUrlResult.ResultList.item*.ArticleUrl",
        "publishjobfinish": "PublishEventInfo.publish_id PublishEventInfo.publish_status"
        " PublishEventInfo.article_id PublishEventInfo.article_detail.count"
        " PublishEventInfo.article_detail.item*.idx"
        " PublishEventInfo.article_detail.item*.article_url PublishEventInfo.fail_idx*",
        "subscribe_msg_popup_event": f"{_POPUP}.TemplateId {_POPUP}.SubscribeStatusString"
        f" {_POPUP}.PopupScene",
        "subscribe_msg_change_event": f"{_CHANGED}.TemplateId {_CHANGED}.SubscribeStatusString",
        "subscribe_msg_sent_event": f"{_SENT}.TemplateId {_SENT}.MsgID {_SENT}.ErrorCode"
        f" {_SENT}.ErrorStatus",
        "kf_create_session": "KfAccount",
        "kf_close_session": "KfAccount",
        "kf_switch_session": "FromKfAccount ToKfAccount",
        "user_enter_tempsession": "SessionFrom",
        "qualification_verify_success": "ExpiredTime",
        "naming_verify_success": "ExpiredTime",
        "annual_renew": "ExpiredTime",
        "verify_expired": "ExpiredTime",
        "qualification_verify_fail": "FailTime FailReason",
        "naming_verify_fail": "FailTime FailReason",
        "user_info_modified": _CHANGE,
        "user_authorization_revoke": _CHANGE,
        "user_authorization_cancellation": _CHANGE,
        "card_pass_check": "CardId RefuseReason",
        "card_not_pass_check": "CardId RefuseReason",
        "user_get_card": f"{_CARD} IsGiveByFriend FriendUserName OuterId OldUserCardCode OuterStr"
        " IsRestoreMemberCard IsRecommendByFriend UnionId",
        "user_gifting_card": f"{_CARD} IsReturnBack FriendUserName IsChatRoom",
        "user_del_card": _CARD,
        "user_enter_session_from_card": _CARD,
        "submit_membercard_user_info": _CARD,
        "user_consume_card": f"{_CARD} ConsumeSource LocationName StaffOpenId VerifyCode"
        " RemarkAmount OuterStr",
        "user_pay_from_pay_cell": f"{_CARD} TransId LocationId Fee OriginalFee",
        "user_view_card": f"{_CARD} OuterStr",
        "update_member_card": f"{_CARD} ModifyBonus ModifyBalance",
        "card_sku_remind": "CardId Detail",
        "card_pay_order": "OrderId Status CreateOrderTime PayFinishTime Desc FreeCoinCount"
        " PayCoinCount RefundFreeCoinCount RefundPayCoinCount OrderType Memo ReceiptInfo",
        "card_merchant_check_result": "MerchantId IsPass Reason",
        "giftcard_pay_done": "PageId OrderId",
        "giftcard_send_to_friend": "PageId OrderId IsChatRoom IsReturnBack",
        "giftcard_user_accept": "PageId OrderId IsChatRoom",
        "poi_check_notify": "UniqId PoiId Result Msg",
        "add_store_audit_info": _STORE,
        "modify_store_audit_info": _STORE,
        "apply_merchant_audit_info": _STORE,
        "create_map_poi_audit_info": "audit_id status map_poi_id name address latitude longitude"
        " sh_remark",
        "wificonnected": "ConnectTime ExpireTime VendorId PlaceId DeviceNo",
        "shakearoundusershake": "ChosenBeacon.Uuid ChosenBeacon.Major ChosenBeacon.Minor"
        " ChosenBeacon.Distance AroundBeacons.AroundBeacon*.Uuid"
        " AroundBeacons.AroundBeacon*.Major AroundBeacons.AroundBeacon*.Minor"
        " AroundBeacons.AroundBeacon*.Distance",
        "merchant_order": "OrderId OrderStatus ProductId SkuInfo",
        "user_scan_product": f"{_PRODUCT} Country Province City Sex Scene",
        "user_scan_product_enter_session": _PRODUCT,
        "user_scan_product_async": f"{_PRODUCT} RegionCode",
        "user_scan_product_verify_action": f"{_PRODUCT} Result ReasonMsg",
        "user_authorize_invoice": "SuccOrderId FailOrderId AppId Source",
        "update_invoice_status": "Status CardId Code",
        "submit_invoice_title": "title tax_no addr phone bank_type bank_no attach title_type",
        "guide_qrcode_scan_event": "GuideScanEvent.qrcode_guide_account"
        " GuideScanEvent.qrcode_guide_openid GuideScanEvent.openid GuideScanEvent.action"
        " GuideScanEvent.qrcode_info",
        "weapp_audit_success": "SuccTime",
        "weapp_audit_fail": "Reason FailTime ScreenShot",
        "weapp_audit_delay": "Reason DelayTime",
        "wxa_media_check": "appid trace_id version errcode errmsg detail*.strategy"
        " detail*.errcode detail*.suggest detail*.label detail*.prob result.suggest result.label"
        " isrisky extra_info_json status_code",
        "debug_demo": "debug_str",
    },
    "push": {
        "component_verify_ticket": "ComponentVerifyTicket",
        "authorized": _GRANT,
        "updateauthorized": _GRANT,
        "unauthorized": "AuthorizerAppid",
        "notify_third_fasteregister": "appid status auth_code msg info.name info.code"
        " info.code_type info.legal_persona_wechat info.legal_persona_name info.component_phone",
    },
}
_COMMON = {"ToUserName", "FromUserName", "CreateTime", "MsgType"}
SHARED = {
    "message": _COMMON | {"MsgId", "MsgDataId", "Idx"},
    "event": _COMMON | {"Event"},
    "push": _COMMON | {"AppId", "InfoType"},
}
TABLES: dict[str, Mapping[str, type[Message]]] = {
    "message": MESSAGES,
    "event": EVENTS,
    "push": COMPONENT_PUSHES,
}
NAMED = [(table, name) for table, names in DOCUMENTED.items() for name in names]
NAMED_IDS = [f"{table}-{name}" for table, name in NAMED]


def _structs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _structs(below)


STRUCTS = [*_structs(Message), *_structs(Part)]


def _bare(hint: Any) -> tuple[Any, str]:
    """A field's type without what surrounds it, and the name of the entries it wraps."""
    if get_origin(hint) is Annotated:
        hint, mark = get_args(hint)
        return hint, mark.extra["each"]
    if NoneType in get_args(hint):
        hint = next(each for each in get_args(hint) if each is not NoneType)
    return hint, ""


def _leaves(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The paths of a struct's elements, as DOCUMENTED writes them."""
    for field in struct_fields(kind):
        hint, each = _bare(field.type)
        path = prefix + field.encode_name
        if get_origin(hint) is list:
            (hint,) = get_args(hint)
            path = f"{path}.{each}*" if each else f"{path}*"
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            yield from _leaves(hint, f"{path}.")
        elif field.name != "raw":
            yield path


def _value(hint: Any, name: str, entries: int, numbers: Iterator[int]) -> tuple[str, Any]:
    """An element of a field's type with values that occur nowhere else: its XML, its value."""
    hint, each = _bare(hint)
    if get_origin(hint) is list:
        (inside,) = get_args(hint)
        made = [_value(inside, each or name, entries, numbers) for _ in range(entries)]
        inner = "".join(xml for xml, _ in made)
        return f"<{name}>{inner}</{name}>" if each else inner, [value for _, value in made]
    if issubclass(hint, msgspec.Struct):
        xml, values = _content(hint, entries, numbers)
        return f"<{name}>{xml}</{name}>", hint(**values)
    number = next(numbers)
    return f"<{name}>{number}</{name}>", hint(number)


def _content(
    kind: type[msgspec.Struct], entries: int, numbers: Iterator[int], **given: Any
) -> tuple[str, dict[str, Any]]:
    xml, values = "", {}
    for field in struct_fields(kind):
        if field.name in given:
            xml += f"<{field.encode_name}>{given[field.name]}</{field.encode_name}>"
            values[field.name] = given[field.name]
        elif field.name != "raw":
            part, values[field.name] = _value(field.type, field.encode_name, entries, numbers)
            xml += part
    return xml, values


def _given(table: str, name: str) -> dict[str, Any]:
    if table == "push":
        return {"info_type": name, "msg_type": ""}
    return {"msg_type": name} if table == "message" else {"msg_type": "event", "event": name}


@pytest.mark.parametrize("table", TABLES)
def test_the_table_holds_what_protocol_documents_and_nothing_else(table: str) -> None:
    """A name that PROTOCOL has and the table lacks would arrive as unknown."""
    assert set(TABLES[table]) == set(DOCUMENTED[table])
    assert len(set(TABLES[table].values())) == len(TABLES[table])


@pytest.mark.parametrize(("table", "name"), NAMED, ids=NAMED_IDS)
def test_a_struct_has_the_fields_that_protocol_documents(table: str, name: str) -> None:
    """The wire names, nested ones too, are exactly the documented ones."""
    expected = SHARED[table] | set(DOCUMENTED[table][name].split())
    assert set(_leaves(TABLES[table][name])) == expected


@pytest.mark.parametrize("entries", [0, 1, 2])
@pytest.mark.parametrize(("table", "name"), NAMED, ids=NAMED_IDS)
def test_a_document_with_every_field_round_trips(table: str, name: str, entries: int) -> None:
    """Each value, unlike all others, lands in its own field, with lists of any length."""
    kind = TABLES[table][name]
    xml, values = _content(kind, entries, count(1), **_given(table, name))
    fields = extract(f"<xml>{xml}</xml>".encode())
    assert decode(fields) == kind(**values, raw=fields)


@pytest.mark.parametrize(("table", "name"), NAMED, ids=NAMED_IDS)
def test_a_document_without_any_field_gives_the_defaults(table: str, name: str) -> None:
    """What WeChat leaves out, or leaves empty, is never an error."""
    kind, given = TABLES[table][name], _given(table, name)
    wire = {field.name: field.encode_name for field in struct_fields(kind)}
    bare = {wire[attribute]: value for attribute, value in given.items() if value}
    assert decode(bare) == kind(**given, raw=bare)
    message = decode({name: bare.get(name, "") for name in wire.values() if name != wire["raw"]})
    assert type(message) is kind
    default = kind(**given)
    for field in struct_fields(kind):
        if _bare(field.type)[0] is not str and field.name != "raw":
            assert getattr(message, field.name) == getattr(default, field.name)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_a_struct_is_frozen_untracked_and_built_without_arguments(
    struct: type[msgspec.Struct],
) -> None:
    """Handlers share messages, and the garbage collector has nothing to do for them."""
    config = struct.__struct_config__
    assert config.frozen
    assert not config.gc
    assert not any(field.required for field in struct_fields(struct))
    assert struct() == struct()
    with pytest.raises(TypeError):
        struct("positional")
    assert inspect.getdoc(struct)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_a_struct_of_its_defaults_shares_no_list_with_another(
    struct: type[msgspec.Struct],
) -> None:
    """A list that two messages share would carry one user's data to another."""
    one, other = struct(), struct()
    for field in struct_fields(struct):
        value = getattr(one, field.name)
        if isinstance(value, list | dict):
            assert value is not getattr(other, field.name)


def test_no_xml_document_can_hold_the_wire_name_of_raw() -> None:
    """Else a user of the account could write what handlers read as the original."""
    (raw,) = (field for field in struct_fields(Text) if field.name == "raw")
    with pytest.raises(ValueError, match="xml"):
        extract(f"<xml><{raw.encode_name}>x</{raw.encode_name}></xml>".encode())


def test_every_concrete_event_is_reachable_by_its_name() -> None:
    """A struct that is in no table is one that nothing makes; bases have subclasses."""
    reachable = {*MESSAGES.values(), *EVENTS.values(), *COMPONENT_PUSHES.values()}
    leaves = {kind for kind in _structs(Message) if not kind.__subclasses__()}
    unknown = {kind for kind in leaves if kind.__name__.startswith("Unknown")}
    assert leaves - unknown == reachable
    assert len(unknown) == 3


def test_every_public_name_of_events_is_there() -> None:
    """The package exports each struct of its modules."""
    assert {kind.__name__ for kind in STRUCTS if ".events." in kind.__module__} == {
        name for name in events.__all__ if name.upper() != name
    }
    assert all(hasattr(events, name) for name in events.__all__)


def test_the_keys_of_the_event_table_are_in_lower_case() -> None:
    """Names are looked up in lower case, whatever WeChat wrote."""
    assert all(name == name.lower() for name in EVENTS)
    assert all(issubclass(kind, Event) for kind in EVENTS.values())


def test_a_message_is_decoded_without_reading_the_world() -> None:
    """The modules import nothing of loop, clock, randomness, environment or logging."""
    banned = {"asyncio", "os", "time", "random", "logging", "socket", "secrets", "threading"}
    assert len(_event_modules()) >= 10
    for module in (messages, decode_module, *_event_modules()):
        tree = ast.parse(inspect.getsource(module))
        imported = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert not imported & banned


def _event_modules() -> list[Any]:
    return [module for module in vars(events).values() if inspect.ismodule(module)]


def test_the_scene_of_a_follow_is_its_key_without_the_prefix() -> None:
    """A follow from elsewhere has no scene, and its key stays whole."""
    assert Subscribe(event_key="qrscene_123123").scene == "123123"
    assert Subscribe(event_key="qrscene_qrscene_1").scene == "qrscene_1"
    assert Subscribe(event_key="last_trade_no_4008").scene is None
    assert Subscribe().scene is None


def test_the_scene_of_a_scan_is_its_key() -> None:
    """There WeChat leaves the prefix out; one in the key is the account's own text."""
    assert Scan(event_key="1000000").scene == "1000000"
    assert Scan(event_key="qrscene_1").scene == "qrscene_1"


def test_nested_structs_are_built_by_hand_as_easily_as_by_decoding() -> None:
    """Tests of handlers write events down."""
    assert LocationSelect().send_location_info.label == ""
