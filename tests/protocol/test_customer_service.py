"""Replies that are late, as the JSON of POST /cgi-bin/message/custom/send (PROTOCOL 7.3)."""

import json
from typing import Any, Final

import msgspec
import pytest

from gateway.protocol.customer_service import customer_service_message
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
)
from tests.support import OPEN_ID

ARTICLES: Final = [Article(f"t{n}", f"d{n}", f"https://pic{n}", f"https://url{n}") for n in (1, 2)]

MESSAGES: Final[list[tuple[Reply, str, Any]]] = [
    (TextReply("你好\n<a href='x'>y</a>"), "text", {"content": "你好\n<a href='x'>y</a>"}),
    (ImageReply("m"), "image", {"media_id": "m"}),
    (VoiceReply("m"), "voice", {"media_id": "m"}),
    (VideoReply("m"), "video", {"media_id": "m"}),
    (
        VideoReply("m", "t", "d"),
        "video",
        {"media_id": "m", "title": "t", "description": "d"},
    ),
    (MusicReply("m"), "music", {"thumb_media_id": "m"}),
    (
        MusicReply("m", "t", "d", "u", "h"),
        "music",
        {
            "title": "t",
            "description": "d",
            "musicurl": "u",
            "hqmusicurl": "h",
            "thumb_media_id": "m",
        },
    ),
    (
        NewsReply(ARTICLES[:1]),
        "news",
        {
            "articles": [
                {
                    "title": "t1",
                    "description": "d1",
                    "url": "https://url1",
                    "picurl": "https://pic1",
                }
            ]
        },
    ),
    (
        NewsReply((Article("t"),)),
        "news",
        {"articles": [{"title": "t", "description": "", "url": "", "picurl": ""}]},
    ),
]

PASSIVE: Final = [TransferReply(), TransferReply("test1@test"), BizAiTransferReply()]


@pytest.mark.parametrize(("reply", "kind", "body"), MESSAGES, ids=lambda v: type(v).__name__)
def test_each_reply_is_written_by_the_names_of_the_interface(
    reply: Reply, kind: str, body: Any
) -> None:
    message = customer_service_message(reply, OPEN_ID)
    assert message == {"touser": OPEN_ID, "msgtype": kind, kind: body}
    assert json.loads(msgspec.json.encode(message)) == message


@pytest.mark.parametrize("reply", PASSIVE, ids=repr)
def test_what_only_a_passive_reply_can_do_is_no_message(reply: Reply) -> None:
    assert customer_service_message(reply, OPEN_ID) is None


def test_every_reply_is_one_or_the_other() -> None:
    tested = {type(reply) for reply, _, _ in MESSAGES} | {type(reply) for reply in PASSIVE}
    assert tested == set(Reply.__subclasses__())


def test_news_is_cut_to_the_first_article() -> None:
    assert customer_service_message(NewsReply(ARTICLES), OPEN_ID) == customer_service_message(
        NewsReply(ARTICLES[:1]), OPEN_ID
    )


@pytest.mark.parametrize(
    ("content", "sent"),
    [("a\x00b\x1bc", "abc"), ("\ud800x\ufffe", "x"), ("a\tb\r\n😀", "a\tb\r\n😀")],
    ids=ascii,
)
def test_text_is_what_a_passive_reply_would_have_said(content: str, sent: str) -> None:
    message = customer_service_message(TextReply(content), OPEN_ID)
    assert message == {"touser": OPEN_ID, "msgtype": "text", "text": {"content": sent}}
