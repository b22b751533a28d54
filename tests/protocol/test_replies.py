"""Replies: every type as documents publish it, and well-formed whatever a handler returns."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import WrongReply
from gateway.kernels import extract, legal
from gateway.protocol.events import Click
from gateway.protocol.messages import Message, Text
from gateway.protocol.replies import (
    Article,
    BizAiTransferReply,
    ImageReply,
    MusicReply,
    NewsReply,
    Reply,
    TextReply,
    TransferReply,
    VideoReply,
    VoiceReply,
    displayable,
    encode_json,
    encode_xml,
    to_reply,
)
from tests.support import NOW, VECTORS, vectors

MESSAGE = Text(to_user_name="gh_1", from_user_name="oUser", content="hi")
ARTICLES = [Article(f"title {n}", "description", "https://pic", "https://url") for n in range(8)]

REPLIES: list[tuple[Reply, dict[str, Any]]] = [
    (TextReply("你好"), {"MsgType": "text", "Content": "你好"}),
    (ImageReply("m"), {"MsgType": "image", "Image": {"MediaId": "m"}}),
    (VoiceReply("m"), {"MsgType": "voice", "Voice": {"MediaId": "m"}}),
    (VideoReply("m"), {"MsgType": "video", "Video": {"MediaId": "m"}}),
    (
        VideoReply("m", "t", "d"),
        {"MsgType": "video", "Video": {"MediaId": "m", "Title": "t", "Description": "d"}},
    ),
    (MusicReply("m"), {"MsgType": "music", "Music": {"ThumbMediaId": "m"}}),
    (
        MusicReply("m", "t", "d", "u", "h"),
        {
            "MsgType": "music",
            "Music": {
                "Title": "t",
                "Description": "d",
                "MusicUrl": "u",
                "HQMusicUrl": "h",
                "ThumbMediaId": "m",
            },
        },
    ),
    (
        NewsReply([Article("t", "d", "p", "u")]),
        {
            "MsgType": "news",
            "ArticleCount": 1,
            "Articles": {"item": [{"Title": "t", "Description": "d", "PicUrl": "p", "Url": "u"}]},
        },
    ),
    (TransferReply(), {"MsgType": "transfer_customer_service"}),
    (BizAiTransferReply(), {"MsgType": "transfer_biz_ai_ivr"}),
    (
        TransferReply("test1@test"),
        {"MsgType": "transfer_customer_service", "TransInfo": {"KfAccount": "test1@test"}},
    ),
]


def _as_extracted(value: Any) -> Any:
    """Return a tree the way the extractor gives it: numbers as text, a list of one as its item."""
    if isinstance(value, dict):
        return {name: _as_extracted(item) for name, item in value.items()}
    if isinstance(value, list):
        return _as_extracted(value[0]) if len(value) == 1 else [_as_extracted(v) for v in value]
    return str(value)


@pytest.mark.parametrize(("reply", "own"), REPLIES, ids=lambda v: type(v).__name__)
def test_each_reply_is_written_as_xml_and_as_json(reply: Reply, own: dict[str, Any]) -> None:
    common = {"ToUserName": "oUser", "FromUserName": "gh_1", "CreateTime": NOW}
    assert extract(encode_xml(reply, MESSAGE, NOW)) == _as_extracted(common | own)
    assert json.loads(encode_json(reply, MESSAGE, NOW)) == common | own


PUBLISHED = [
    (v["file"], reply)
    for v in vectors("replies/index.json")
    for reply in [
        {
            "reply_text_1.xml": TextReply("content"),
            "reply_text_4.xml": TextReply("你好"),
            "reply_image_1.xml": ImageReply("ddfefesfsdfef"),
            "reply_image_2.xml": ImageReply("media_id"),
            "reply_image_3.xml": ImageReply("media_id"),
            "reply_voice_1.xml": VoiceReply("ddfefesfsdfef"),
            "reply_voice_2.xml": VoiceReply("media_id"),
            "reply_voice_3.xml": VoiceReply("media_id"),
            "reply_video_1.xml": VideoReply("media_id", "title", "ddfff"),
            "reply_video_4.xml": VideoReply("media_id", "title", "description"),
            "reply_video_5.xml": VideoReply("media_id", "title", "description"),
            "reply_music_1.xml": MusicReply(
                "thumbMediaId", "title", "ddfff", "musicUrl", "hQMusicUrl"
            ),
            "reply_music_4.xml": MusicReply(
                "media_id", "TITLE", "DESCRIPTION", "MUSIC_Url", "HQ_MUSIC_Url"
            ),
            "reply_news_1.xml": NewsReply([Article("title", "description", "picUrl", "url")] * 2),
            "reply_news_2.xml": NewsReply([Article("title", "description", "picUrl", "url")] * 2),
            "reply_news_5.xml": NewsReply([Article("title1", "description1", "picurl", "url")]),
            "reply_transfer-customer-service_1.xml": TransferReply(),
            "reply_transfer-customer-service_2.xml": TransferReply("test1@test"),
        }.get(v["file"])
    ]
    if reply is not None
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "reply"), PUBLISHED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_reply_says_what_the_published_one_says(file: str, reply: Reply) -> None:
    published = extract((VECTORS / "replies" / file).read_bytes())
    message = Text(to_user_name=published["FromUserName"], from_user_name=published["ToUserName"])
    written = extract(encode_xml(reply, message, int(published["CreateTime"])))
    assert _sorted(written) == _sorted(published)


def _sorted(value: Any) -> Any:
    """Return fields without regard to their order, which differs between publishers."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a]]>b", "a]]>b"),
        ("]]>]]>", "]]>]]>"),
        ("<a href='x'>&amp;</a>", "<a href='x'>&amp;</a>"),
        ("👍🏽👨‍👩‍👧", "👍🏽👨‍👩‍👧"),
        ("a\nb\tc", "a\nb\tc"),
        ("a\0\x08\x14\x1fb\x7f", "ab\x7f"),
        ("a\ud83db\udc00", "ab"),
        ("a\ufffe\uffffb", "ab"),
        ("好" * 682 + "x", "好" * 682 + "x"),
    ],
)
def test_text_survives_and_what_xml_cannot_hold_is_dropped(text: str, shown: str) -> None:
    document = encode_xml(TextReply(text), MESSAGE, NOW)
    assert extract(document)["Content"] == shown
    assert etree.fromstring(document).findtext("Content") == shown
    assert json.loads(encode_json(TextReply(text), MESSAGE, NOW))["Content"] == shown


@given(st.text(st.characters(), max_size=60), st.text(st.characters(), max_size=20))
def test_a_reply_is_well_formed_whatever_is_in_it(text: str, user: str) -> None:
    """The user's id too: in plain mode nothing vouches for it."""
    message = Text(to_user_name=user, from_user_name=user)
    for reply in (TextReply(text), NewsReply([Article(text, text, text, text)])):
        root = etree.fromstring(encode_xml(reply, message, NOW))
        assert root.findtext("ToUserName") == legal(user).replace("\r\n", "\n").replace("\r", "\n")
        json.loads(encode_json(reply, message, NOW))


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("hi", TextReply("hi")),
        ("", None),
        (None, None),
        (ImageReply("m"), ImageReply("m")),
        (ARTICLES[:2], NewsReply(ARTICLES[:2])),
        (tuple(ARTICLES[:1]), NewsReply(tuple(ARTICLES[:1]))),
    ],
)
def test_a_return_value_means_a_reply(value: object, reply: Reply | None) -> None:
    assert to_reply(value) == reply


@pytest.mark.parametrize("count", [0, 9])
def test_news_takes_one_to_eight_articles(count: int) -> None:
    with pytest.raises(WrongReply, match=f"1 to 8 articles, not {count}"):
        NewsReply([Article("t")] * count)


@pytest.mark.parametrize(("message", "shown"), [(MESSAGE, 1), (Click(), 8)])
def test_news_is_cut_to_what_wechat_displays(message: Message, shown: int) -> None:
    reply = displayable(NewsReply(ARTICLES), message)
    assert isinstance(reply, NewsReply)
    assert list(reply.articles) == ARTICLES[:shown]


@pytest.mark.parametrize("value", ["", "\x01\ud800", TextReply(""), TextReply("\0"), [], ()])
def test_nothing_that_would_be_shown_means_no_reply(value: object) -> None:
    """An XML reply with an empty Content is not the same thing to WeChat (PROTOCOL 3)."""
    assert to_reply(value) is None


WRONG: list[Any] = [
    lambda: TextReply(None),  # type: ignore[arg-type]  # what a handler may do all the same
    lambda: TextReply(message_raw),
    lambda: ImageReply(7),  # type: ignore[arg-type]
    lambda: NewsReply([Article(None)]),  # type: ignore[arg-type]
    lambda: [Article("t", url=5)],  # type: ignore[arg-type]
]
message_raw: Any = {"Evil": "<a>"}


@pytest.mark.parametrize("make", WRONG)
def test_a_reply_whose_fields_are_of_other_types_is_refused(make: Any) -> None:
    with pytest.raises(WrongReply, match="Expected `str`"):
        to_reply(make())
