"""Decoding: the published samples, what is odd in them, and what nobody has sent yet."""

import json
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields as struct_fields
from msgspec.structs import force_setattr

from gateway.kernels import Fields, extract
from gateway.protocol import events, messages
from gateway.protocol.decode import COMPONENT_PUSHES, EVENTS, MESSAGES, decode
from gateway.protocol.messages import Message, Text

SAMPLES = Path(__file__).parents[1] / "vectors" / "messages"
INDEX: list[dict[str, Any]] = json.loads((SAMPLES / "index.json").read_text(encoding="utf-8"))
ACCEPTED = [sample for sample in INDEX if not isinstance(sample["expected"], str)]
REFUSED = [sample for sample in INDEX if isinstance(sample["expected"], str)]
STRIPPED = {
    *("ToUserName", "FromUserName", "CreateTime", "MsgType"),
    *("Event", "MsgId", "MsgID", "InfoType"),
}
COMPACT = (
    "<xml><ToUserName><![CDATA[gh_0]]></ToUserName><FromUserName><![CDATA[oU]]></FromUserName>"
    "<CreateTime>1714112445</CreateTime>%s</xml>"
)


def _id(sample: dict[str, Any]) -> str:
    return str(sample["file"])


def load(file: str) -> Fields:
    """Read a sample as the gateway does."""
    data = (SAMPLES / file).read_bytes()
    return cast("Fields", json.loads(data)) if file.endswith(".json") else extract(data)


def sample(name: str) -> Message:
    """Decode the sample of this name."""
    return decode(load(name))


def xml(inner: str) -> Message:
    """Decode a compact document with these elements after the common ones."""
    return decode(extract((COMPACT % inner).encode()))


def event(name: str, inner: str = "") -> Message:
    """Decode an event of this name with these elements."""
    return xml(f"<MsgType>event</MsgType><Event>{name}</Event>{inner}")


def _at(fields: Any, path: str) -> Any:
    for step in path.split("."):
        name, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", step, re.ASCII).groups()  # type: ignore[union-attr]
        fields = fields[name]
        if index is not None:
            fields = (fields if isinstance(fields, list) else [fields])[int(index)]
    return fields


# --- The published samples -----------------------------------------------------------------------


def test_each_sample_is_in_the_index_and_each_entry_has_its_sample() -> None:
    """A sample that no test reads proves nothing."""
    files = {path.name for path in SAMPLES.iterdir()} - {"index.json"}
    assert files == {entry["file"] for entry in INDEX}
    assert len(INDEX) == 167


@pytest.mark.parametrize("entry", ACCEPTED, ids=_id)
def test_a_sample_keeps_every_expected_value_in_raw(entry: dict[str, Any]) -> None:
    """``raw`` is the very object that was decoded, names and values as published."""
    fields = load(entry["file"])
    message = decode(fields)
    assert message.raw is fields
    for path, expected in entry["expected"].items():
        value = _at(fields, path)
        if isinstance(expected, dict):
            assert (value[0] if isinstance(value, list) else value) in expected["one_of"]
        elif path in STRIPPED and isinstance(value, str):
            assert value.strip() == expected.strip()
        else:
            assert value == expected
            assert type(value) is type(expected)


@pytest.mark.parametrize("entry", ACCEPTED, ids=_id)
def test_a_sample_becomes_the_struct_of_its_type(entry: dict[str, Any]) -> None:
    """And the common fields hold what the sample says, bare and as numbers."""
    message, expected = sample(entry["file"]), entry["expected"]
    name = entry["msgtype"] or expected.get("MsgType", "")
    if name == "event":
        assert type(message) is EVENTS.get(entry["event"].lower(), events.UnknownEvent)
    elif name:
        assert type(message) is MESSAGES.get(name, messages.UnknownMessage)
    elif entry.get("infotype"):
        assert type(message) is COMPONENT_PUSHES[entry["infotype"]]
    for field in struct_fields(type(message)):
        if field.encode_name in STRIPPED and field.encode_name in expected:
            value = str(expected[field.encode_name]).strip()
            if field.type is int and not value.isdigit():
                value = "0"
            assert str(getattr(message, field.name)) == value


@pytest.mark.parametrize("entry", ACCEPTED, ids=_id)
def test_a_sample_leaves_no_documented_value_unread(entry: dict[str, Any]) -> None:
    """Each top-level element of a known type's sample is a field of its struct."""
    fields = load(entry["file"])
    message = decode(fields)
    kind = type(message)
    known = {field.encode_name for field in struct_fields(kind)}
    if kind.__name__.startswith("Unknown"):
        return
    # One sample is a text that carries every other type's elements too; one has elements that
    # nobody documents; in JSON the entries of subscription notices stand without their wrapper.
    surplus = set(fields) - known - {"FutureField", "Другое"}
    if isinstance(message, events.SubscribeMsgPopup):
        surplus -= {"List"}
    assert not surplus or (kind is Text and "Event" in surplus)


@pytest.mark.parametrize("entry", ACCEPTED, ids=_id)
def test_a_padded_name_changes_nothing_in_a_sample(entry: dict[str, Any]) -> None:
    """The quick way and the field-by-field way make the same message."""
    fields = load(entry["file"])
    padded = {**fields, "ToUserName": f"\n\t{fields.get('ToUserName', '')} "}
    quick, slow = decode(fields), decode(padded)
    assert slow.raw is padded
    force_setattr(slow, "raw", fields)
    assert slow == quick


@pytest.mark.parametrize("entry", REFUSED, ids=_id)
def test_a_malicious_sample_never_becomes_a_message(entry: dict[str, Any]) -> None:
    """What has a DOCTYPE is refused before there is anything to decode."""
    assert entry["expected"] == "reject"
    with pytest.raises(ValueError, match="xml"):
        load(entry["file"])


# --- Messages ------------------------------------------------------------------------------------


def test_a_text_has_its_values_under_their_names() -> None:
    """The shape that nearly every callback has."""
    message = xml("<MsgType>text</MsgType><Content>hi</Content><MsgId>24000000000000102</MsgId>")
    assert message == Text(
        to_user_name="gh_0",
        from_user_name="oU",
        create_time=1714112445,
        msg_type="text",
        content="hi",
        msg_id=24000000000000102,
        raw=message.raw,
    )


def test_a_pretty_printed_text_loses_the_white_space_of_its_names_only() -> None:
    """Names and numbers are bare, the content keeps both ends."""
    message = sample("nasty_pretty-whitespace.xml")
    assert isinstance(message, Text)
    assert message.to_user_name == "gh_0123456789ab"
    assert message.from_user_name == "oNasty00000000000000000000a"
    assert message.create_time == 1714112445
    assert message.msg_type == "text"
    assert message.msg_id == 24000000000000102
    assert message.content == " keep  both ends "
    assert message.raw["MsgId"] == " 24000000000000102"


@pytest.mark.parametrize("name", ["ToUserName", "FromUserName"])
def test_a_single_padded_name_is_stripped_on_the_quick_way_too(name: str) -> None:
    """Padding that conversion does not trip over is seen all the same."""
    fields = {"ToUserName": "gh_0", "FromUserName": "oU", "MsgType": "text", "Content": " x "}
    message = decode({**fields, name: f" {fields[name]}\n"})
    assert isinstance(message, Text)
    assert (message.to_user_name, message.from_user_name) == ("gh_0", "oU")
    assert message.content == " x "


@pytest.mark.parametrize(
    "content", ["", " ", "007", "null", "1e3", "</Content>", "\x01\x0b", "\U0001f600", "\n x \n"]
)
def test_a_text_is_never_altered(content: str) -> None:
    """Not stripped, not taken for a number, not taken for nothing."""
    message = decode({"MsgType": "text", "Content": content})
    assert isinstance(message, Text)
    assert message.content == content


@given(st.text())
def test_a_text_is_never_altered_whatever_it_is(content: str) -> None:
    """On either way, lone surrogates among it, for JSON can hold them."""
    for user in ("oU", " oU"):
        message = decode({"FromUserName": user, "MsgType": "text", "Content": content})
        assert isinstance(message, Text)
        assert message.content == content


def test_a_text_from_an_article_tells_which() -> None:
    """``idx`` counts from 1; without an article both are None."""
    message = sample("msg_text-from-article.xml")
    assert isinstance(message, Text)
    assert (message.msg_data_id, message.idx) == ("2247483650", 1)
    other = sample("msg_text_1.xml")
    assert isinstance(other, Text)
    assert (other.msg_data_id, other.idx, other.biz_msg_menu_id) == (None, None, None)


def test_an_answer_to_a_menu_message_tells_the_entry_as_text() -> None:
    """In XML and, as a number there, in JSON."""
    for message in (
        sample("msg_text-menu-answer.xml"),
        decode({"MsgType": "text", "Content": "yes", "bizmsgmenuid": 101}),
    ):
        assert isinstance(message, Text)
        assert message.biz_msg_menu_id == "101"


def test_a_documents_placeholder_for_a_number_does_not_spoil_the_message() -> None:
    """The documented voice sample has an article number of xxxx."""
    (name,) = (entry["file"] for entry in ACCEPTED if entry["expected"].get("Idx") == "xxxx")
    message = sample(name)
    assert isinstance(message, messages.Voice)
    assert message.idx is None
    assert message.msg_data_id == "xxxx"
    assert message.media_id_16k == "media_id_16k"
    assert message.msg_id == 23456789012345678


def test_a_mini_programs_string_id_stays_in_raw() -> None:
    """``msg_id`` is a number for every reader, so it is 0 here."""
    message = sample("json_text-string-msgid.json")
    assert isinstance(message, Text)
    assert message.msg_id == 0
    assert message.raw["MsgId"] == "49d72d67b16d115e7935ac386f2f0fa41535298877_1555684067"
    assert (message.create_time, message.content) == (1555684067, "测试")


def test_the_largest_id_is_exact() -> None:
    """2**63 - 1 does not fit a float."""
    message = sample("nasty_msgid-large.xml")
    assert isinstance(message, Text)
    assert message.msg_id == 2**63 - 1


def test_of_a_duplicated_element_the_first_counts() -> None:
    """``raw`` keeps both."""
    message = sample("nasty_duplicate-content.xml")
    assert isinstance(message, Text)
    assert message.content == "first"
    assert message.raw["Content"] == ["first", "second"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (-1, "-1"), (7.5, "7.5"), (True, "true"), (False, "false"), (None, ""), ({}, "")],
)
def test_a_json_value_of_another_type_is_text_where_text_belongs(value: Any, text: str) -> None:
    """Numbers and truth values as JSON writes them; what is no scalar as nothing."""
    message = decode({"MsgType": "text", "Content": value})
    assert isinstance(message, Text)
    assert message.content == text


def test_of_duplicated_names_the_first_counts() -> None:
    """The type is decided by the same rule as the values."""
    message = decode(
        {
            "MsgType": ["event", "text"],
            "Event": ["CLICK", "SCAN"],
            "EventKey": ["a", "b"],
            "CreateTime": ["1", "2"],
        }
    )
    assert isinstance(message, events.Click)
    assert (message.msg_type, message.event) == ("event", "CLICK")
    assert (message.event_key, message.create_time) == ("a", 1)


def test_markup_that_lost_its_cdata_leaves_the_content_empty() -> None:
    """A nested element is no text; ``raw`` keeps it."""
    message = xml("<MsgType>text</MsgType><Content><b>x</b></Content>")
    assert isinstance(message, Text)
    assert message.content == ""
    assert message.raw["Content"] == {"b": "x"}


def test_a_location_message_has_numbers() -> None:
    """Degrees as floats, the zoom level as an int."""
    message = sample("msg_location_1.xml")
    assert isinstance(message, messages.Location)
    assert (message.location_x, message.location_y) == (31.285774, 120.597610)
    assert message.scale in (19, 20)
    assert message.label.startswith("中国江苏省苏州市")


def test_a_file_has_its_size_in_bytes() -> None:
    """An undocumented type with the fields seen in traffic."""
    message = sample("msg_file_1.xml")
    assert isinstance(message, messages.File)
    assert (message.title, message.file_total_len) == ("test.zip", 222)


def test_a_device_event_is_a_message_with_an_event() -> None:
    """It has a MsgType of its own."""
    message = sample("event_bind_1.xml")
    assert isinstance(message, messages.DeviceEvent)
    assert (message.event, message.device_id, message.open_id) == ("bind", "123", "123")


@pytest.mark.parametrize("name", ["notsure", "unknown", "TEXT", "", "future"])
def test_a_message_of_an_unknown_type_keeps_its_fields(name: str) -> None:
    """What WeChat adds reaches the handler."""
    message = decode({"MsgType": name, "FromUserName": "oU", "MsgId": "7", "New": {"a": "1"}})
    assert type(message) is messages.UnknownMessage
    assert (message.from_user_name, message.msg_id, message.msg_type) == ("oU", 7, name)
    assert message.raw["New"] == {"a": "1"}


def test_a_document_without_any_type_is_an_unknown_message() -> None:
    """An empty one too."""
    assert decode({}) == messages.UnknownMessage()


# --- Events --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CLICK", "click", "Click", " click\n"])
def test_an_event_is_known_in_any_case_and_keeps_its_own(name: str) -> None:
    """Documents and traffic differ."""
    message = event(name, "<EventKey>K</EventKey>")
    assert isinstance(message, events.Click)
    assert (message.event, message.event_key) == (name.strip(), "K")


@pytest.mark.parametrize("name", [*EVENTS, *(name.upper() for name in EVENTS)])
def test_every_event_is_found_by_its_name(name: str) -> None:
    """In lower and in upper case."""
    assert type(event(name)) is EVENTS[name.lower()]


def test_an_event_of_an_unknown_name_keeps_its_fields() -> None:
    """Its key is typed, the rest is in ``raw``."""
    message = event("Future_Event", "<EventKey>K</EventKey><New><a>1</a></New>")
    assert type(message) is events.UnknownEvent
    assert (message.event, message.event_key, message.from_user_name) == ("Future_Event", "K", "oU")
    assert message.raw["New"] == {"a": "1"}


@pytest.mark.parametrize("fields", [{}, {"Event": ""}, {"Event": None}, {"Event": {"a": "b"}}])
def test_an_event_without_a_name_is_an_unknown_event(fields: Fields) -> None:
    """It is still an event."""
    message = decode({"MsgType": "event", **fields})
    assert type(message) is events.UnknownEvent
    assert message.event == ""


def test_a_follow_from_a_qr_code_has_a_scene_and_a_ticket() -> None:
    """The prefix goes, the key stays."""
    message = event("subscribe", "<EventKey>qrscene_123123</EventKey><Ticket>TICKET</Ticket>")
    assert isinstance(message, events.Subscribe)
    assert (message.event_key, message.scene, message.ticket) == (
        "qrscene_123123",
        "123123",
        "TICKET",
    )


def test_a_plain_follow_has_no_scene() -> None:
    """Whether its elements are absent or empty."""
    for message in (event("subscribe"), sample("nasty_empty-elements.xml")):
        assert isinstance(message, events.Subscribe)
        assert (message.event_key, message.scene) == ("", None)
        assert not message.ticket


def test_a_scan_has_its_scene_without_a_prefix() -> None:
    """In either case of the event's name."""
    for name, scene in (("event_SCAN_1.xml", None), ("event_scan-lowercase_1.xml", "SCENE_VALUE")):
        message = sample(name)
        assert isinstance(message, events.Scan)
        assert message.scene == message.event_key == message.raw["EventKey"]
        assert scene in (None, message.scene)
        assert message.ticket


def test_a_reported_position_has_numbers() -> None:
    """Floats, under names that differ from the location message's."""
    message = sample("event_LOCATION_1.xml")
    assert isinstance(message, events.LocationEvent)
    assert (message.latitude, message.longitude) == (23.137466, 113.352425)
    assert message.precision == 119.38504


def test_a_scanned_code_is_a_struct() -> None:
    """Of the event that waits and of the one that does not."""
    push, wait = sample("event_scancode-push_1.xml"), sample("event_scancode-waitmsg_1.xml")
    assert isinstance(push, events.ScanCodePush)
    assert isinstance(wait, events.ScanCodeWaitMsg)
    assert push.scan_code_info == events.ScanCodeInfo(scan_type="qrcode", scan_result="1")
    assert (wait.event_key, wait.scan_code_info.scan_result) == ("6", "2")


@pytest.mark.parametrize("pictures", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["pic_sysphoto", "pic_photo_or_album", "pic_weixin"])
def test_pictures_are_a_list_however_many_there_are(name: str, pictures: int) -> None:
    """One entry in XML looks like no list at all."""
    items = "".join(f"<item><PicMd5Sum>{n}</PicMd5Sum></item>" for n in range(pictures))
    message = event(
        name,
        f"<EventKey>6</EventKey><SendPicsInfo><Count>{pictures}</Count>"
        f"<PicList>{items}</PicList></SendPicsInfo>",
    )
    assert isinstance(message, events.PicSysPhoto | events.PicPhotoOrAlbum | events.PicWeixin)
    assert message.send_pics_info.count == pictures
    assert [pic.pic_md5_sum for pic in message.send_pics_info.pic_list] == [
        str(n) for n in range(pictures)
    ]


def test_a_chosen_place_has_numbers() -> None:
    """They come in CDATA."""
    message = sample("event_location-select_1.xml")
    assert isinstance(message, events.LocationSelect)
    place = message.send_location_info
    assert (place.location_x, place.location_y, place.scale, place.poiname) == (23.0, 113.0, 15, "")
    assert place.label == message.raw["SendLocationInfo"]["Label"]


@pytest.mark.parametrize("status", ["success", "failed:user block", "failed: system failed"])
def test_a_template_result_has_its_id_and_status(status: str) -> None:
    """The element is MsgID here, not MsgId."""
    message = event("TEMPLATESENDJOBFINISH", f"<MsgID>200163836</MsgID><Status>{status}</Status>")
    assert isinstance(message, events.TemplateSendJobFinish)
    assert (message.msg_id, message.status) == (200163836, status)


def test_a_mass_send_result_has_its_checks() -> None:
    """Two articles, each checked; in another sample each with its URL."""
    message = sample("event_MASSSENDJOBFINISH_1.xml")
    assert isinstance(message, events.MassSendJobFinish)
    assert (message.msg_id, message.status) == (1000001625, "err(30003)")
    check = message.copyright_check_result
    assert (check.count, check.check_state) == (2, 2)
    assert [(one.article_idx, one.audit_state, one.can_reprint) for one in check.result_list] == [
        (1, 2, 1),
        (2, 2, 1),
    ]
    documented = sample("event_MASSSENDJOBFINISH_4.xml")
    assert isinstance(documented, events.MassSendJobFinish)
    assert documented.article_url_result.count == 2
    assert documented.article_url_result.result_list == [
        events.ArticleUrl(article_idx=1, article_url="Url_1"),
        events.ArticleUrl(article_idx=2, article_url="Url_2"),
    ]


def test_a_mass_send_result_of_old_has_counts_and_no_checks() -> None:
    """The checks are empty then, not None."""
    message = sample("event_MASSSENDJOBFINISH_3.xml")
    assert isinstance(message, events.MassSendJobFinish)
    assert (message.total_count, message.filter_count) == (100, 80)
    assert (message.sent_count, message.error_count) == (75, 5)
    assert message.copyright_check_result == events.CopyrightCheckResult()
    assert message.article_url_result.result_list == []


def test_a_publication_names_its_articles() -> None:
    """The items stand beside their count, without a wrapper."""
    message = sample("event_PUBLISHJOBFINISH_1.xml")
    assert isinstance(message, events.PublishJobFinish)
    info = message.publish_event_info
    assert (info.publish_id, info.publish_status, info.fail_idx) == (2247503051, 0, [])
    assert info.article_id == "b5O2OUs25HBxRceL7hfReg-U9QGeq9zQjiDvy WP4Hq4"
    assert info.article_detail is not None
    assert [(item.idx, item.article_url) for item in info.article_detail.item] == [
        (1, "ARTICLE_URL"),
        (2, "ARTICLE_URL_2"),
    ]


def test_a_refused_publication_lists_the_articles_at_fault() -> None:
    """Numbers, as a list even of one."""
    message = sample("event_PUBLISHJOBFINISH-original-rejected-doc.xml")
    assert isinstance(message, events.PublishJobFinish)
    info = message.publish_event_info
    assert (info.publish_status, info.fail_idx) == (2, [1, 2])
    assert (info.article_id, info.article_detail) == (None, None)
    one = event("PUBLISHJOBFINISH", "<PublishEventInfo><fail_idx>3</fail_idx></PublishEventInfo>")
    assert isinstance(one, events.PublishJobFinish)
    assert one.publish_event_info.fail_idx == [3]


def test_an_answer_about_notices_has_an_item_for_each_template() -> None:
    """In XML, within the wrapper."""
    message = sample("event_subscribe-msg-popup-event_1.xml")
    assert isinstance(message, events.SubscribeMsgPopup)
    assert [(item.subscribe_status_string, item.popup_scene) for item in message.items] == [
        ("accept", 2),
        ("reject", 2),
    ]


@pytest.mark.parametrize("form", ["array", "single-object"])
def test_an_answer_about_notices_in_json_is_the_same_in_both_forms(form: str) -> None:
    """JSON has no wrapper, and sends one entry bare; its numbers are strings."""
    message = sample(f"json_subscribe-popup-{form}.json")
    assert isinstance(message, events.SubscribeMsgPopup)
    assert message.create_time == 1620973045
    assert message.items == [
        events.SubscribeMsgPopupItem(
            template_id="hD-ixGOhYmUfjOnI8MCzQMPshzGVeux_2vzyvQu7O68",
            subscribe_status_string="accept",
            popup_scene=0,
        )
    ]


def test_a_changed_setting_of_one_template_is_a_list() -> None:
    """Only rejections are pushed."""
    message = sample("event_subscribe-msg-change-event_1.xml")
    assert isinstance(message, events.SubscribeMsgChange)
    assert [item.subscribe_status_string for item in message.items] == ["reject"]


def test_a_sent_notice_has_its_id_and_outcome() -> None:
    """An id of 19 digits stays exact."""
    message = sample("event_subscribe-msg-sent-event_1.xml")
    assert isinstance(message, events.SubscribeMsgSent)
    (item,) = message.items
    assert (item.msg_id, item.error_code, item.error_status) == (1700827132819554304, 0, "success")


def test_a_notice_event_without_entries_has_none() -> None:
    """An empty wrapper, none at all, and entries that are no elements."""
    for inner in ("", "<SubscribeMsgPopupEvent></SubscribeMsgPopupEvent>", "<List></List>"):
        message = event("subscribe_msg_popup_event", inner)
        assert isinstance(message, events.SubscribeMsgPopup)
        assert message.items == []


def test_customer_service_events_name_the_accounts() -> None:
    """One who takes on, two who hand over."""
    create, switch = (
        sample("event_kf-create-session_1.xml"),
        sample("event_kf-switch-session_1.xml"),
    )
    assert isinstance(create, events.KfCreateSession)
    assert isinstance(switch, events.KfSwitchSession)
    assert create.kf_account == "test1@test"
    assert (switch.from_kf_account, switch.to_kf_account) == ("test1@test", "test2@test")


def test_a_verification_has_its_times_as_numbers() -> None:
    """Unix seconds, until when or of when."""
    renew, fail = sample("event_annual-renew_1.xml"), sample("event_naming-verify-fail_1.xml")
    assert isinstance(renew, events.AnnualRenew)
    assert isinstance(fail, events.NamingVerifyFail)
    assert renew.expired_time == 1442401156
    assert (fail.fail_time, fail.fail_reason) == (1442401156, "by time 2")


def test_an_authorisation_change_names_the_user_apart_from_the_sender() -> None:
    """In XML and in JSON; what was revoked is a code as text."""
    for name, code in (
        ("event_user-authorization-revoke-doc.xml", "1"),
        ("json_user-authorization-revoke.json", "201"),
    ):
        message = sample(name)
        assert isinstance(message, events.UserAuthorizationRevoke)
        assert message.open_id == message.raw["OpenID"] != message.from_user_name
        assert (message.app_id, message.revoke_info) == ("wx13974bf780d3dc89", code)
        assert message.union_id is None
    closed = sample("event_user-authorization-cancellation-doc.xml")
    assert isinstance(closed, events.UserAuthorizationCancellation)
    assert closed.union_id == "oXxUnion0000000000000000000a"


def test_a_cards_amounts_are_numbers_with_or_without_blanks() -> None:
    """The published sample has a blank after one of them."""
    message = sample("event_user-pay-from-pay-cell_1.xml")
    assert isinstance(message, events.UserPayFromPayCell)
    assert message.raw["OriginalFee"] == "10000 "
    assert (message.fee, message.original_fee) == (10000, 10000)
    assert message.trans_id == "10022403432015000000000"


def test_a_received_card_keeps_the_blanks_of_its_texts() -> None:
    """Only names and numbers are stripped."""
    message = sample("event_user-get-card_3.xml")
    assert isinstance(message, events.UserGetCard)
    assert message.card_id == message.raw["CardId"]
    assert (message.is_give_by_friend, message.outer_id) == (0, 0)


@pytest.mark.parametrize("around", [0, 1, 2])
def test_beacons_are_a_list_however_many_there_are(around: int) -> None:
    """Beside the chosen one."""
    beacon = "<Uuid>u</Uuid><Major>12345</Major><Minor>54321</Minor><Distance>0.057</Distance>"
    message = event(
        "ShakearoundUserShake",
        f"<ChosenBeacon>{beacon}</ChosenBeacon><AroundBeacons>"
        + f"<AroundBeacon>{beacon}</AroundBeacon>" * around
        + "</AroundBeacons>",
    )
    assert isinstance(message, events.ShakearoundUserShake)
    expected = events.Beacon(uuid="u", major=12345, minor=54321, distance=0.057)
    assert message.chosen_beacon == expected
    assert message.around_beacons == [expected] * around


def test_a_media_check_has_the_fields_of_its_version() -> None:
    """Version 2 with a list of one detail, version 1 with neither detail nor result."""
    second, first = (
        sample("event_wxa-media-check_1.xml"),
        sample("event_wxa-media-check-v1-doc.xml"),
    )
    assert isinstance(second, events.WxaMediaCheck)
    assert isinstance(first, events.WxaMediaCheck)
    assert (second.version, second.errcode, second.errmsg) == (2, 0, "ok")
    assert [(one.strategy, one.label, one.prob) for one in second.detail] == [
        ("content_model", 100, 90.0)
    ]
    assert second.result == events.MediaCheckResult(suggest="pass", label=100)
    assert (second.isrisky, second.status_code) == (None, None)
    assert (first.isrisky, first.status_code, first.version) == (0, 0, None)
    assert (first.detail, first.result) == ([], None)


def test_a_media_check_in_json_has_the_same_shape() -> None:
    """There the details are an array and the numbers are numbers."""
    message = decode(
        {
            "MsgType": "event",
            "Event": "wxa_media_check",
            "CreateTime": 1626959646,
            "detail": [{"strategy": "a", "errcode": 0, "prob": 90.5}, {"strategy": "b"}],
            "result": {"suggest": "risky", "label": 20001},
        }
    )
    assert isinstance(message, events.WxaMediaCheck)
    assert [(one.strategy, one.prob) for one in message.detail] == [("a", 90.5), ("b", 0.0)]
    assert message.result == events.MediaCheckResult(suggest="risky", label=20001)


def test_the_test_tools_event_is_the_same_in_xml_and_json() -> None:
    """It is the first that a new account receives."""
    for name in ("event_debug-demo-doc.xml", "json_debug-demo.json"):
        message = sample(name)
        assert isinstance(message, events.DebugDemo)
        assert message.debug_str == message.raw["debug_str"]


# --- Platform pushes -----------------------------------------------------------------------------


def test_a_platforms_ticket_is_a_push() -> None:
    """It has no MsgType."""
    message = sample("component_component-verify-ticket_doc.xml")
    assert isinstance(message, events.ComponentVerifyTicket)
    assert (message.app_id, message.msg_type) == ("wx134c8103faa5a59e", "")
    assert message.info_type == "component_verify_ticket"
    assert message.component_verify_ticket.startswith("ticket@@@")


def test_a_grant_has_its_code_and_when_it_ends() -> None:
    """A published sample has words where the time belongs: 0 then."""
    message, words = sample("component_authorized_doc.xml"), sample("component_authorized_1.xml")
    assert isinstance(message, events.Authorized)
    assert isinstance(words, events.Authorized)
    assert message.authorization_code_expired_time == 1413196360
    assert words.authorization_code_expired_time == 0
    assert words.raw["AuthorizationCodeExpiredTime"] == "过期时间"


def test_a_quick_registration_tells_the_platform_from_the_program() -> None:
    """AppId and appid are two fields."""
    message = sample("component_notify-third-fasteregister_doc.xml")
    assert isinstance(message, events.NotifyThirdFasteregister)
    assert (message.app_id, message.appid) == ("wx134c8103faa5a59e", "wx570bc396a51b8ff8")
    assert (message.status, message.info.code_type, message.info.code) == (0, 1, "123")


def test_a_push_of_an_unknown_type_keeps_its_fields() -> None:
    """Padded or not."""
    message = decode({"AppId": "wx0", "InfoType": " future ", "CreateTime": " 1 ", "New": "x"})
    assert type(message) is events.UnknownComponentPush
    assert (message.app_id, message.info_type, message.create_time) == ("wx0", "future", 1)
    assert message.raw["New"] == "x"


# --- Anything ------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["", " 7 ", "0", "-1", "1e999", "nan", "9" * 5000, "\ud800", "null", "7.5"]),
)


def _wire_names(kind: type[msgspec.Struct]) -> set[str]:
    structs = (kind, *kind.__subclasses__())
    below = (_wire_names(one) for one in structs[1:])
    return {field.encode_name for one in structs for field in struct_fields(one)}.union(*below)


_NAMES = st.sampled_from(
    sorted(_wire_names(Message) | _wire_names(messages.Part) | {"item", "List", "AroundBeacon"})
)
_TYPES = st.sampled_from([*MESSAGES, *EVENTS, *COMPONENT_PUSHES, "event", "future"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(_NAMES, st.text(max_size=3)), inner, max_size=4),
    ),
    max_leaves=8,
)


@st.composite
def _documents(draw: st.DrawFn) -> Fields:
    """An object of any names and values, most often of a known type and with known fields."""
    fields = draw(st.dictionaries(st.one_of(_NAMES, st.text(max_size=3)), _VALUES, max_size=6))
    if draw(st.booleans()):
        fields["MsgType"] = "event"
        fields["Event"] = name = draw(st.sampled_from(sorted(EVENTS)))
        for field in struct_fields(EVENTS[name]):
            if field.encode_name not in STRIPPED and draw(st.booleans()):
                fields[field.encode_name] = draw(_VALUES)
    elif draw(st.booleans()):
        fields[draw(st.sampled_from(["MsgType", "Event", "InfoType"]))] = draw(_TYPES)
    return fields


@given(_documents())
def test_anything_becomes_a_message_whose_fields_have_their_types(fields: Fields) -> None:
    """Decoding never raises, never touches the fields, and no value is of a wrong type."""
    before = repr(fields)
    message = decode(fields)
    assert message.raw is fields
    assert repr(fields) == before
    _check(message)


def _check(struct: msgspec.Struct) -> None:
    for field in struct_fields(type(struct)):
        value = getattr(struct, field.name)
        if field.name == "raw":
            continue
        msgspec.convert(value, field.type, strict=True)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, msgspec.Struct):
                _check(part)


@pytest.mark.parametrize("value", [[], [[]], [[[["7"]]]], {}, None, True, 7, 7.0, 7.5, "9" * 5000])
@pytest.mark.parametrize("name", sorted(EVENTS))
def test_no_value_of_an_events_field_is_fatal(name: str, value: Any) -> None:
    """Each field in turn, nested or not, holds what nobody expects."""
    for field in struct_fields(EVENTS[name]):
        if field.encode_name not in ("MsgType", "Event"):
            fields = {"MsgType": "event", "Event": name, field.encode_name: value}
            message = decode(fields)
            assert type(message) is EVENTS[name]
            _check(message)


def test_deep_nesting_is_no_deeper_for_decoding() -> None:
    """Only what a type says is walked, so no document can exhaust the stack."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    message = decode({"MsgType": "text", "Content": deep, "FromUserName": "oU"})
    assert isinstance(message, Text)
    assert (message.content, message.from_user_name) == ("x", "oU")
    # Taken apart from outside in, for the interpreter would recurse.
    force_setattr(message, "raw", {})
    while isinstance(deep, list):
        deep = deep.pop()
