"""Replies as JSON, for bots in any language: ``{"type": "text", "content": "…"}``."""

from typing import Any, Final

import msgspec

from gateway.errors import WrongReply
from gateway.protocol.replies import (
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

_TYPES: Final[dict[str, type[Reply]]] = {
    "text": TextReply,
    "image": ImageReply,
    "voice": VoiceReply,
    "video": VideoReply,
    "music": MusicReply,
    "news": NewsReply,
    "transfer": TransferReply,
    "ai_transfer": BizAiTransferReply,
}
"""The values of ``type``; the other names are those of the class's fields."""


def reply_of(document: dict[str, Any] | None) -> Reply | None:
    """Return the reply that a JSON object means; None for no object, or an empty one.

    Raises WrongReply where it means none; the message names what is wrong with it, no value.
    """
    if not document:
        return None
    given = dict(document)
    name = given.pop("type", None)
    kind = _TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WrongReply(f"a reply needs a type, one of: {', '.join(_TYPES)}")
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as wrong:
        raise WrongReply(f"a reply of type {name}: {wrong}") from None
