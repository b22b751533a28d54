"""All that is wrong with the plain data of a struct: msgspec itself tells the first of it only."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec

from gateway.http.api.problems import FieldError

_Type = Any
"""A class, or what stands for one: ``dict[str, int]``, ``str | None``."""


def faults_of(given: Any, type_: _Type, path: str = "") -> Iterator[FieldError]:
    """Yield what is wrong with each field; nothing where it can be converted.

    Looks into structs that forbid unknown fields, and into dicts; ``path`` is where it stands.
    """
    if given is not None:
        type_ = _type_of(type_)
    origin: Any = get_origin(type_)
    if isinstance(given, dict) and isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield from _faults_of_struct(given, type_, path)
    elif isinstance(given, dict) and origin is dict:
        for name, value in given.items():
            yield from faults_of(value, get_args(type_)[1], _below(path, name))
    else:
        try:
            msgspec.convert(given, type_)
        except msgspec.ValidationError as wrong:
            yield FieldError(str(wrong), path)


def _type_of(type_: _Type) -> _Type:
    """Return what is there of a type or nothing."""
    others = [one for one in get_args(type_) if one is not type(None)]
    origin: Any = get_origin(type_)
    return others[0] if origin is UnionType and len(others) == 1 else type_


def _faults_of_struct(
    given: dict[str, Any], type_: type[msgspec.Struct], path: str
) -> Iterator[FieldError]:
    fields = {one.encode_name: one for one in msgspec.structs.fields(type_)}
    for name, value in given.items():
        if name in fields:
            yield from faults_of(value, fields[name].type, _below(path, name))
        else:
            yield FieldError(f"unknown; there are: {', '.join(fields)}", _below(path, name))
    for name, one in fields.items():
        if one.required and name not in given:
            yield FieldError("missing", _below(path, name))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
