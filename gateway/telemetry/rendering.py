"""How a log line looks: as JSON for machines, as text for people."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from structlog.typing import EventDict

TIMESTAMP: Final = "timestamp"
LEVEL: Final = "level"
LOGGER: Final = "logger"
EVENT: Final = "event"
EXCEPTION: Final = "exception"
STACK: Final = "stack_info"

_BARE: Final = re.compile(r"[^\s\"'=\\]+")
"""A value that needs no quotes."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str, skipkeys=True)

_APART: Final = frozenset((TIMESTAMP, LEVEL, LOGGER, EVENT, EXCEPTION, STACK, "exc_info"))
"""What is no field, or is shown below the line."""


class Said(dict[str, Any]):
    """An event and its fields; as a text, what a person reads of it.

    So that handlers that are not ours, and programs that set up no logging, show it in words.
    """

    def __str__(self) -> str:
        fields = (f" {name}={_value(value)}" for name, value in _fields(self).items())
        return f"{_visible(str(self[EVENT]))}{''.join(fields)}"


def json_line(line: Mapping[str, Any]) -> str:
    """Return a line as one JSON object; what JSON has no form for is there as text."""
    told = {name: value for name, value in line.items() if value is not None}
    return _ENCODER.encode(told)


def console_line(line: EventDict) -> str:
    """Return a line as ``time LEVEL logger: event field=value``, a traceback below it."""
    at = datetime.fromisoformat(line[TIMESTAMP]).astimezone()
    when = at.strftime("%Y-%m-%d %H:%M:%S") + f",{at.microsecond // 1000:03}"
    head = f"{when} {line[LEVEL].upper():<7} {line[LOGGER]}: {Said(line)}"
    return "\n    ".join(
        [head, *(_visible(line[part]) for part in (EXCEPTION, STACK) if part in line)]
    )


def timestamp(seconds: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC, to the microsecond."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _fields(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value is not None and name not in _APART}


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_value, value))
    text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    # Nothing in a value looks like another field, or like another line.
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _visible(text: str) -> str:
    """Return a text that is no other line, and does nothing to a terminal."""
    return "\n    ".join(
        line
        if line.isprintable()
        else "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)
        for line in text.split("\n")
    )
