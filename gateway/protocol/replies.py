"""Passive replies: what a handler may answer, and the XML or JSON that WeChat takes (PROTOCOL 4).

Whatever a handler returns, the document is well-formed: ``]]>`` is split over two CDATA sections,
and characters that XML 1.0 cannot hold are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from gateway.errors import WrongReply
from gateway.kernels import legal, write_reply
from gateway.protocol.events import Event
from gateway.protocol.messages import Message

MAX_ARTICLES: Final = 8
"""Articles in an answer to an event; to a message it is one, and WeChat shows none of more."""

_Tree = dict[str, Any]
_R = TypeVar("_R", bound="Reply")


class Reply(msgspec.Struct, frozen=True):
    """What is sent back to the user who wrote; one of the classes below."""

    msg_type: ClassVar[str] = ""

    def tree(self) -> _Tree:
        """Return the elements after the common ones, names to values; None leaves one out."""
        return {}


class TextReply(Reply, frozen=True):
    """Text; ``<a href>`` and line feeds allowed, about 2,048 bytes shown."""

    content: str
    msg_type: ClassVar[str] = "text"

    def tree(self) -> _Tree:
        return {"Content": self.content}


class ImageReply(Reply, frozen=True):
    """A picture that was uploaded; no GIF."""

    media_id: str
    msg_type: ClassVar[str] = "image"

    def tree(self) -> _Tree:
        return {"Image": {"MediaId": self.media_id}}


class VoiceReply(Reply, frozen=True):
    """A voice recording that was uploaded."""

    media_id: str
    msg_type: ClassVar[str] = "voice"

    def tree(self) -> _Tree:
        return {"Voice": {"MediaId": self.media_id}}


class VideoReply(Reply, frozen=True):
    """A video that was uploaded."""

    media_id: str
    title: str | None = None
    description: str | None = None
    msg_type: ClassVar[str] = "video"

    def tree(self) -> _Tree:
        return {
            "Video": {
                "MediaId": self.media_id,
                "Title": self.title,
                "Description": self.description,
            }
        }


class MusicReply(Reply, frozen=True):
    """Music by its addresses, with the picture that was uploaded for it."""

    thumb_media_id: str
    title: str | None = None
    description: str | None = None
    music_url: str | None = None
    hq_music_url: str | None = None
    msg_type: ClassVar[str] = "music"

    def tree(self) -> _Tree:
        return {
            "Music": {
                "Title": self.title,
                "Description": self.description,
                "MusicUrl": self.music_url,
                "HQMusicUrl": self.hq_music_url,
                "ThumbMediaId": self.thumb_media_id,
            }
        }


class Article(msgspec.Struct, frozen=True):
    """One article of a news reply."""

    title: str
    description: str = ""
    pic_url: str = ""
    url: str = ""


class NewsReply(Reply, frozen=True):
    """1 to 8 articles; see ``displayable`` for how many are shown. Raises WrongReply otherwise."""

    articles: Sequence[Article]
    msg_type: ClassVar[str] = "news"

    def __post_init__(self) -> None:
        if not 1 <= len(self.articles) <= MAX_ARTICLES:
            raise WrongReply(f"a news reply takes 1 to 8 articles, not {len(self.articles)}")

    def tree(self) -> _Tree:
        items = [
            {
                "Title": article.title,
                "Description": article.description,
                "PicUrl": article.pic_url,
                "Url": article.url,
            }
            for article in self.articles
        ]
        return {"ArticleCount": len(items), "Articles": {"item": items}}


class TransferReply(Reply, frozen=True):
    """Hands the user to customer service: to anyone there, or to one account (``test1@test``)."""

    kf_account: str | None = None
    msg_type: ClassVar[str] = "transfer_customer_service"

    def tree(self) -> _Tree:
        return {} if self.kf_account is None else {"TransInfo": {"KfAccount": self.kf_account}}


class BizAiTransferReply(Reply, frozen=True):
    """Hands the user to the account's own AI service, which the platform is rolling out."""

    msg_type: ClassVar[str] = "transfer_biz_ai_ivr"


def to_reply(value: object) -> Reply | None:
    """Return what a handler's return value means: a Reply, or None for a bare ``success``.

    A str is text, a list of articles is news. No text, or none that XML can hold, and an empty
    list are nothing: an empty Content is not the same to WeChat as no reply (PROTOCOL 3). Raises
    WrongReply for anything else, and for a reply whose fields are not of their types.
    """
    if isinstance(value, str):
        return TextReply(value) if legal(value) else None
    if value is None:
        return None
    if isinstance(value, Reply):
        return to_reply(_checked(value).content) if type(value) is TextReply else _checked(value)
    if isinstance(value, list | tuple) and all(isinstance(item, Article) for item in value):
        return _checked(NewsReply(value)) if value else None
    raise WrongReply(
        f"a handler returns str, a reply, a list of Article or None, not {type(value).__name__}"
    )


def _checked(reply: _R) -> _R:
    """Return the reply; raise WrongReply where a field is not of its type: structs do not look."""
    try:
        for struct in (reply, *getattr(reply, "articles", ())):
            msgspec.convert(msgspec.structs.asdict(struct), type(struct))
    except msgspec.ValidationError as wrong:
        raise WrongReply(f"{type(reply).__name__}: {wrong}") from None
    return reply


def displayable(reply: Reply, message: Message) -> Reply:
    """Return the reply cut to what WeChat displays: one article for anything but an event.

    With more it would display none at all (PROTOCOL 4).
    """
    if isinstance(reply, NewsReply) and len(reply.articles) > 1 and not isinstance(message, Event):
        return NewsReply(reply.articles[:1])
    return reply


def encode_xml(reply: Reply, message: Message, now: int) -> bytes:
    """Return the XML of a reply to ``message``; ``now`` is its CreateTime in Unix seconds."""
    return write_reply(
        message.from_user_name, message.to_user_name, now, reply.msg_type, reply.tree()
    )


def encode_json(reply: Reply, message: Message, now: int) -> bytes:
    """Return the JSON of a reply, for an account that is set to JSON; names as in the XML."""
    document = {
        "ToUserName": message.from_user_name,
        "FromUserName": message.to_user_name,
        "CreateTime": now,
        "MsgType": reply.msg_type,
        **reply.tree(),
    }
    return msgspec.json.encode(_legal(document))


def _legal(value: Any) -> Any:
    if isinstance(value, str):
        return legal(value)
    if isinstance(value, dict):
        return {name: _legal(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_legal(item) for item in value]
    return value
