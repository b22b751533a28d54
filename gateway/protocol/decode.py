"""From a callback's fields to a message.

There are two ways. A message without nested elements is converted in one step, which is nearly
all of the traffic. Where that step refuses a value, and for what is nested, the struct is built
field by field from a plan made once per type; a value that cannot be read then leaves its field
at the default. So decoding never fails: what is odd is still in ``raw``.
"""

from collections.abc import Callable
from functools import cache
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from msgspec import Struct, convert
from msgspec.structs import fields as struct_fields
from msgspec.structs import force_setattr

from gateway.kernels import Fields
from gateway.protocol.events import (
    COMPONENT_PUSHES,
    EVENTS,
    UnknownComponentPush,
    UnknownEvent,
)
from gateway.protocol.messages import MESSAGES, Message, UnknownMessage

__all__ = ["COMPONENT_PUSHES", "EVENTS", "MESSAGES", "decode"]

_IDENTIFIERS: Final = {"ToUserName", "FromUserName", "MsgType", "Event", "InfoType"}

_S = TypeVar("_S", bound=Struct)
_Read = Callable[[Any], Any]
# Takes a value as received and returns it as a field holds it; None stands for the default.


def decode(fields: Fields) -> Message:
    """Return the message that a callback's fields describe.

    The fields are those of XML or of a JSON object; they stay as they are, as ``raw``. Names,
    types and numbers lose the white space around them, other text is never altered. A type that
    is not known gives UnknownMessage, UnknownEvent or UnknownComponentPush. Never raises.
    """
    try:
        name = fields["MsgType"]
        if name == "event":
            kind: type[Message] = EVENTS[fields["Event"].lower()]
            if _is_nested(kind):
                return _build(kind, fields, raw=fields)
        else:
            kind = MESSAGES[name]
        message = convert(fields, kind, strict=False)
    except (LookupError, AttributeError, TypeError, ValueError):
        # ValidationError and the refusal of lone surrogates are ValueErrors.
        return _build(_kind(fields), fields, raw=fields)
    account, user = message.to_user_name, message.from_user_name
    if account != account.strip() or user != user.strip():
        return _build(kind, fields, raw=fields)
    force_setattr(message, "raw", fields)
    return message


def _kind(fields: Fields) -> type[Message]:
    name = _identifier(fields.get("MsgType"))
    if name == "event":
        return EVENTS.get((_identifier(fields.get("Event")) or "").lower(), UnknownEvent)
    if name:
        return MESSAGES.get(name, UnknownMessage)
    if push := _identifier(fields.get("InfoType")):
        return COMPONENT_PUSHES.get(push, UnknownComponentPush)
    return UnknownMessage


@cache
def _is_nested(kind: type[Struct]) -> bool:
    return any(
        get_origin(hint) is list or issubclass(hint, Struct)
        for hint, _ in (_hint(field.type) for field in struct_fields(kind) if field.name != "raw")
    )


def _build(kind: type[_S], fields: Fields, **given: Fields) -> _S:
    values = {name: value for name, take in _plan(kind) if (value := take(fields)) is not None}
    return kind(**given, **values)


@cache
def _plan(kind: type[Struct]) -> tuple[tuple[str, _Read], ...]:
    """Say, for each attribute of a struct, how to take it from the fields."""
    return tuple(
        (field.name, _take(field.encode_name, *_hint(field.type)))
        for field in struct_fields(kind)
        if field.name != "raw"
    )


def _hint(hint: Any) -> tuple[Any, str | None]:
    """Part a field's type from what may surround it: ``| None``, or the name of wrapped entries."""
    if get_origin(hint) is Annotated:
        hint, mark = get_args(hint)
        return hint, mark.extra["each"]
    if NoneType in get_args(hint):
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    return hint, None


def _take(wire: str, hint: Any, each: str | None) -> _Read:
    read = _identifier if wire in _IDENTIFIERS else _reader(hint)
    if each is None:
        return lambda fields: read(fields.get(wire))
    return lambda fields: read(_unwrap(fields, wire, each))


def _unwrap(fields: Fields, wire: str, each: str) -> Any:
    if (wrapper := fields.get(wire)) is None:
        return fields.get(each)  # JSON has the entries without their wrapper.
    wrappers = (one for one in _many(wrapper) if isinstance(one, dict))
    return [entry for one in wrappers for entry in _many(one.get(each))]


def _reader(hint: Any) -> _Read:
    if hint is str:
        return _text
    if get_origin(hint) is list:
        return _list_reader(_reader(*get_args(hint)))
    return _struct_reader(hint) if issubclass(hint, Struct) else _number_reader(hint)


def _list_reader(read: _Read) -> _Read:
    return lambda value: [entry for one in _many(value) if (entry := read(one)) is not None]


def _struct_reader(kind: type[Struct]) -> _Read:
    def read(value: Any) -> Struct | None:
        fields = _first(value)
        return _build(kind, fields) if isinstance(fields, dict) else None

    return read


def _number_reader(kind: type[int | float]) -> _Read:
    def read(value: Any) -> int | float | None:
        value = _first(value)
        try:
            return convert(value.strip() if isinstance(value, str) else value, kind, strict=False)
        except ValueError:
            return None

    return read


def _text(value: Any) -> str | None:
    value = _first(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def _identifier(value: Any) -> str | None:
    text = _text(value)
    return text if text is None else text.strip()


def _first(value: Any) -> Any:
    """Return the first of an element that repeats: which of them is meant, nobody can tell."""
    while isinstance(value, list):
        value = value[0] if value else None
    return value


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
