"""A handler's reply as a customer-service message: how it reaches a user when it is late.

The JSON of POST /cgi-bin/message/custom/send (PROTOCOL 7.3).
"""

from typing import Any

from gateway.kernels import legal
from gateway.protocol.replies import (
    ImageReply,
    MusicReply,
    NewsReply,
    Reply,
    TextReply,
    VideoReply,
    VoiceReply,
)


def customer_service_message(reply: Reply, open_id: str) -> dict[str, Any] | None:
    """Return the message's JSON; None for what only a passive reply can do, such as a transfer.

    News is cut to one article, the most that such a message holds.
    """
    body = _body(reply)
    if body is None:
        return None
    given = {name: _legal(value) for name, value in body.items() if value is not None}
    return {"touser": open_id, "msgtype": reply.msg_type, reply.msg_type: given}


def _body(reply: Reply) -> dict[str, Any] | None:
    match reply:
        case TextReply(content=content):
            return {"content": content}
        case ImageReply(media_id=media_id) | VoiceReply(media_id=media_id):
            return {"media_id": media_id}
        case VideoReply():
            return {
                "media_id": reply.media_id,
                "title": reply.title,
                "description": reply.description,
            }
        case MusicReply():
            return {
                "title": reply.title,
                "description": reply.description,
                "musicurl": reply.music_url,
                "hqmusicurl": reply.hq_music_url,
                "thumb_media_id": reply.thumb_media_id,
            }
        case NewsReply(articles=[first, *_]):
            article = {
                "title": first.title,
                "description": first.description,
                "url": first.url,
                "picurl": first.pic_url,
            }
            return {"articles": [article]}
    return None


def _legal(value: Any) -> Any:
    if isinstance(value, list):
        return [{name: legal(text) for name, text in item.items()} for item in value]
    return legal(value)
