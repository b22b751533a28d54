"""XML as WeChat writes and reads it: documents from a tree of names and values."""

import re
from collections.abc import Callable, Mapping
from typing import Any

# What XML 1.0 allows is #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF (section 2.2).
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal(text: str) -> str:
    """Return the text without the characters that XML 1.0 cannot hold."""
    # Printable text, nearly all there is, has none of them, and the test for it is cheap.
    return text if text.isprintable() else _ILLEGAL.sub("", text)


def elements(tree: Mapping[str, Any], clean: Callable[[str], str] = legal) -> str:
    """Return a tree as elements, without a root.

    A str becomes CDATA, ``clean`` applied before, a ``]]>`` in it split over two sections; a dict
    becomes child elements; a list repeats its element; None leaves it out; anything else is
    written as it is. Names are the caller's own, and taken as they are.
    """
    written = []
    for name, value in tree.items():
        if isinstance(value, str):
            text = clean(value)
            if "]]>" in text:
                text = text.replace("]]>", "]]]]><![CDATA[>")
            written.append(f"<{name}><![CDATA[{text}]]></{name}>")
        elif isinstance(value, dict):
            written.append(f"<{name}>{elements(value, clean)}</{name}>")
        elif isinstance(value, list):
            written += [elements({name: item}, clean) for item in value]
        elif value is not None:
            written.append(f"<{name}>{value}</{name}>")
    return "".join(written)


def write_reply(
    to_user_name: str, from_user_name: str, create_time: int, msg_type: str, tree: dict[str, Any]
) -> bytes:
    """Return the XML of a passive reply: the elements that all have, then those of the tree.

    ``create_time`` is in Unix seconds; texts and the tree are written as ``elements`` has it.
    """
    common = {
        "ToUserName": to_user_name,
        "FromUserName": from_user_name,
        "CreateTime": create_time,
        "MsgType": msg_type,
    }
    return f"<xml>{elements(common)}{elements(tree)}</xml>".encode()
