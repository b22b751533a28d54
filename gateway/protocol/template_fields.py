"""The fields of template and subscription messages: what WeChat takes in each (PROTOCOL 7.2).

A field's name is its kind and a number, such as ``thing1``; the kind says what its value may be.
"""

import re
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of field."""

    limit: int
    """Characters at most."""
    pattern: re.Pattern[str]
    shape: str
    """What a value has to be, for an error message."""


_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_CLOCK: Final = r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?"
_DAY: Final = r"\d{4}(年\d{1,2}月\d{1,2}日|-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2})"
_MOMENT: Final = rf"({_DAY}( ?{_CLOCK})?|{_CLOCK})"


def _kind(limit: int, pattern: str, shape: str) -> Kind:
    return Kind(limit, re.compile(pattern), shape)


KINDS: Final[dict[str, Kind]] = {
    "thing": _kind(20, r"[^\r\n]+", "text of one line"),
    "number": _kind(32, r"[+-]?\d+(\.\d+)?", "a number"),
    "letter": _kind(32, r"[A-Za-z]+", "letters a to z"),
    "symbol": _kind(5, rf"[^\w\s{_HAN}]+", "symbols"),
    "character_string": _kind(32, rf"[^\s{_HAN}]+", "digits, letters and symbols"),
    "time": _kind(
        64, rf"{_MOMENT}( ?~ ?{_MOMENT})?", "a time such as 15:01, or 2019年10月1日 15:01"
    ),
    "date": _kind(
        64, rf"{_DAY}( ?{_CLOCK})?( ?~ ?{_DAY}( ?{_CLOCK})?)?", "a day such as 2019年10月1日"
    ),
    "amount": _kind(16, r"[¥￥$€£]?\d{1,10}(\.\d{1,2})?元?", "an amount such as ¥100.00 or 100元"),
    "phone_number": _kind(17, r"[\d+\-() ]+", "a phone number"),
    "car_number": _kind(8, rf"[{_HAN}A-Za-z0-9]+", "a number plate"),
    "name": _kind(
        20, rf"[{_HAN}]{{1,10}}|[^{_HAN}\d]{{1,20}}", "10 Chinese characters, or 20 Latin"
    ),
    "phrase": _kind(5, rf"[{_HAN}]+", "Chinese characters"),
    "const": _kind(20, r".+", "one of the template's own values"),
}
"""The kinds by the name that a field begins with."""


def kind_name(field: str) -> str:
    """Return what a field's name begins with, before its number."""
    return field.rstrip("0123456789")


def kind_of(field: str) -> Kind | None:
    """Return the kind of a field by its name; None where the name tells none.

    Old templates have fields of any name, such as ``first`` or ``keyword1``, and no rules.
    """
    return KINDS.get(kind_name(field))


def fault_of(field: str, value: str) -> str | None:
    """Return what is wrong with a field's value, for whoever wrote it; None for a sound one."""
    kind = kind_of(field)
    if kind is None:
        return None
    if len(value) > kind.limit:
        return f"has {len(value)} characters, and WeChat takes {kind.limit}"
    if not kind.pattern.fullmatch(value):
        return f"is not {kind.shape}"
    return None
