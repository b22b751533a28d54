"""Replies as JSON: every type, every field by its name, and a refusal that says what to mend."""

from typing import Any, Final

import msgspec
import pytest

from gateway.errors import WrongReply
from gateway.protocol.json_replies import reply_of
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
    to_reply,
)

ARTICLE: Final = {
    "title": "t",
    "description": "d",
    "pic_url": "https://pic",
    "url": "https://url",
}

REPLIES: Final[list[tuple[dict[str, Any], Reply]]] = [
    ({"type": "text", "content": "你好"}, TextReply("你好")),
    ({"type": "image", "media_id": "m"}, ImageReply("m")),
    ({"type": "voice", "media_id": "m"}, VoiceReply("m")),
    ({"type": "video", "media_id": "m"}, VideoReply("m")),
    (
        {"type": "video", "media_id": "m", "title": "t", "description": "d"},
        VideoReply("m", "t", "d"),
    ),
    ({"type": "music", "thumb_media_id": "m"}, MusicReply("m")),
    (
        {
            "type": "music",
            "thumb_media_id": "m",
            "title": "t",
            "description": "d",
            "music_url": "u",
            "hq_music_url": "h",
        },
        MusicReply("m", "t", "d", "u", "h"),
    ),
    ({"type": "news", "articles": [{"title": "t"}]}, NewsReply([Article("t")])),
    (
        {"type": "news", "articles": [ARTICLE] * 8},
        NewsReply([Article("t", "d", "https://pic", "https://url")] * 8),
    ),
    ({"type": "transfer"}, TransferReply()),
    ({"type": "transfer", "kf_account": "test1@test"}, TransferReply("test1@test")),
    ({"type": "ai_transfer"}, BizAiTransferReply()),
]


@pytest.mark.parametrize(("document", "reply"), REPLIES, ids=lambda v: type(v).__name__)
def test_each_type_of_reply_is_read_with_all_its_fields(
    document: dict[str, Any], reply: Reply
) -> None:
    given = msgspec.json.decode(msgspec.json.encode(document))
    assert reply_of(given) == reply
    # It is what a handler could have returned, and the object stays as it was.
    assert to_reply(reply) == reply
    assert given == document


def test_there_is_no_reply_that_json_cannot_mean() -> None:
    assert {type(reply) for _, reply in REPLIES} == set(Reply.__subclasses__())


@pytest.mark.parametrize(("document", "reply"), REPLIES, ids=lambda v: type(v).__name__)
def test_a_null_is_a_field_that_is_not_there(document: dict[str, Any], reply: Reply) -> None:
    optional = {
        field.name
        for field in msgspec.structs.fields(reply)
        if field.default is None and field.name not in document
    }
    assert reply_of(document | dict.fromkeys(optional)) == reply


@pytest.mark.parametrize("document", [None, {}], ids=repr)
def test_nothing_is_no_reply(document: dict[str, Any] | None) -> None:
    assert reply_of(document) is None


def test_what_is_not_known_is_passed_over() -> None:
    """A bot that knows more than this gateway still answers."""
    assert reply_of({"type": "text", "content": "x", "quick_replies": ["a"]}) == TextReply("x")


TYPES: Final = (
    "a reply needs a type, one of: text, image, voice, video, music, news, transfer, ai_transfer"
)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"content": "SECRET"}, TYPES),
        ({"type": None, "content": "SECRET"}, TYPES),
        ({"type": "SECRET"}, TYPES),
        ({"type": "Text", "content": "SECRET"}, TYPES),
        ({"type": ["text"], "content": "SECRET"}, TYPES),
        (
            {"type": "text", "text": "SECRET"},
            "a reply of type text: Object missing required field `content`",
        ),
        (
            {"type": "text", "content": ["SECRET"]},
            "a reply of type text: Expected `str`, got `array` - at `$.content`",
        ),
        (
            {"type": "image", "media_id": None},
            "a reply of type image: Expected `str`, got `null` - at `$.media_id`",
        ),
        (
            {"type": "voice"},
            "a reply of type voice: Object missing required field `media_id`",
        ),
        (
            {"type": "video", "media_id": "m", "title": 1},
            "a reply of type video: Expected `str | null`, got `int` - at `$.title`",
        ),
        (
            {"type": "music", "title": "SECRET"},
            "a reply of type music: Object missing required field `thumb_media_id`",
        ),
        (
            {"type": "news", "articles": []},
            "a reply of type news: a news reply takes 1 to 8 articles, not 0",
        ),
        (
            {"type": "news", "articles": [ARTICLE] * 9},
            "a reply of type news: a news reply takes 1 to 8 articles, not 9",
        ),
        (
            {"type": "news", "articles": {"title": "SECRET"}},
            "a reply of type news: Expected `array`, got `object` - at `$.articles`",
        ),
        (
            {"type": "news", "articles": [ARTICLE, {"url": "SECRET"}]},
            "a reply of type news: Object missing required field `title` - at `$.articles[1]`",
        ),
        (
            {"type": "transfer", "kf_account": {"SECRET": 1}},
            "a reply of type transfer: Expected `str | null`, got `object` - at `$.kf_account`",
        ),
    ],
    ids=repr,
)
def test_what_means_no_reply_is_refused_by_the_part_that_is_wrong_and_no_value(
    document: dict[str, Any], said: str
) -> None:
    with pytest.raises(WrongReply) as wrong:
        reply_of(document)
    assert str(wrong.value) == said
