r"""The XML reader for WeChat's callbacks: a document in, its fields out.

It is not a general parser. What it promises, and its compiled twin with it:

- the children of the root element come back as a dict in document order, under their own names;
- an element with child elements is a dict, any other a string; one that repeats is a list;
- text is returned as XML defines it: CDATA sections joined with what stands around them, the five
  predefined entities and numeric references resolved, line ends made ``\n``; nothing is stripped;
- control characters that XML 1.0 forbids are kept, for users do send them (WeRoBot issue 420);
- comments, processing instructions, attributes, and text beside child elements are passed over;
- refused, with ValueError("xml"): a DOCTYPE or any other declaration, other entities, unbalanced
  or truncated input, bytes that are not UTF-8, more than MAX_DEPTH levels or MAX_SIZE bytes.
"""

import re
from typing import Any, Final

Fields = dict[str, Any]
"""Name to value; a value is a str, another Fields, or a list of these two."""

MAX_DEPTH: Final = 16
"""Levels of elements, the root among them; WeChat's deepest callback has 5."""

MAX_SIZE: Final = 1 << 20
"""Bytes of a document; WeChat's longest are some tens of KiB."""

_NAME = r"[A-Za-z_:\x80-\U0010ffff][A-Za-z0-9_:.\-\x80-\U0010ffff]*+"
_CDATA = r"<!\[CDATA\[([^]]*+(?:\](?!\]>)[^]]*+)*+)\]\]>"
_ATTRIBUTE = rf"""[ \t\n]++{_NAME}[ \t\n]*+=[ \t\n]*+(?:"[^"<]*+"|'[^'<]*+')"""

_REFERENCE = r"&(?:(amp|lt|gt|quot|apos)|\#([0-9]{1,8})|\#x([0-9A-Fa-f]{1,8}));"
_LEAF = rf"[ \t\n]*+<(?P<leaf>{_NAME})>(?:{_CDATA}|([^<&]*+))</(?P=leaf)>"

# Every quantifier is possessive, so that no input makes a matcher go back: the time is linear in
# the document.

# Nearly all that WeChat sends is an element that holds nothing but leaves: these two read it in
# half the time that token by token takes.
_flat = re.compile(
    rf"[ \t\n]*+<(?P<root>{_NAME})>(?P<leaves>(?:{_LEAF})*+)[ \t\n]*+</(?P=root)>[ \t\n]*+"
).fullmatch
_leaves = re.compile(_LEAF).findall

# Groups: 3 and 4 the opened name and its slash, 6 the closed name, 8 the CDATA, 10 to 12 what is
# referred to.
_token = re.compile(
    rf"(?P<skip><!--.*?-->|<\?.*?\?>)"
    rf"|(?P<open><({_NAME})(?:{_ATTRIBUTE})*+[ \t\n]*+(/?)>)"
    rf"|(?P<close></({_NAME})[ \t\n]*+>)"
    rf"|(?P<cdata>{_CDATA})"
    rf"|(?P<reference>{_REFERENCE})"
    rf"|(?P<text>[^<&]++)",
    re.DOTALL,
).match

_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_SPACE: Final = " \t\n"


def extract(document: bytes) -> Fields:
    """Return the fields of an XML document; raise ValueError("xml") if it is not a sound one."""
    if len(document) > MAX_SIZE:
        raise ValueError("xml")
    try:
        text = document.decode()
    except UnicodeDecodeError:
        raise ValueError("xml") from None
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (flat := _flat(text)) is not None:
        leaves = _leaves(flat["leaves"])
        fields = {name: cdata or plain for name, cdata, plain in leaves}
        if len(fields) == len(leaves):
            return fields
    return _read(text)


def text_of(document: bytes, name: str) -> bytes:
    """Return the text of the root's one child element of this name, white space around it removed.

    Raises ValueError("xml") as extract does, and ValueError("absent") where there is none, more
    than one, or one that has child elements.
    """
    value = extract(document).get(name)
    if not isinstance(value, str):
        raise ValueError("absent")  # noqa: TRY004 - what is wrong is the document, not its type
    return value.encode().strip()


def _read(text: str) -> Fields:  # noqa: C901, PLR0912 - one loop over six kinds of token
    root: Fields | None = None
    name = ""
    children: Fields = {}
    parts: list[str] = []
    outer: list[tuple[str, Fields, list[str]]] = []
    position, end = 0, len(text)
    while position < end:
        if (token := _token(text, position)) is None:
            raise ValueError("xml")
        position = token.end()
        kind = token.lastgroup
        if kind == "open":
            if len(outer) == MAX_DEPTH or (root is not None and not outer):
                raise ValueError("xml")
            outer.append((name, children, parts))
            name, children, parts = token[3], {}, []
        elif kind == "skip" or (not outer and kind == "text" and not token[0].strip(_SPACE)):
            continue
        elif not outer:
            raise ValueError("xml")
        elif kind == "text":
            parts.append(token[0])
        elif kind == "cdata":
            parts.append(token[8])
        elif kind == "reference":
            parts.append(_resolve(*token.group(10, 11, 12)))
        elif token[6] != name:
            raise ValueError("xml")
        if kind == "close" or token[4]:
            value, closed = children or "".join(parts), name
            name, children, parts = outer.pop()
            if outer:
                _add(children, closed, value)
            else:
                root = value if isinstance(value, dict) else {}
    if root is None or outer:
        raise ValueError("xml")
    return root


def _add(fields: Fields, name: str, value: str | Fields) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(present := fields[name], list):
        present.append(value)
    else:
        fields[name] = [present, value]


def _resolve(entity: str | None, decimal: str | None, hexadecimal: str | None) -> str:
    if entity is not None:
        return _ENTITIES[entity]
    code = int(decimal) if decimal is not None else int(hexadecimal or "", 16)
    if code == 0 or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        raise ValueError("xml")
    return chr(code)
