"""Times on the command line: how they are written there, and how they are shown."""

import re
import time
from datetime import UTC, datetime
from typing import Final

import rich_click as click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN: Final = re.compile(r"(\d{1,9})([smhd])")


def age(
    _context: click.Context | None, _option: click.Parameter | None, value: str | None
) -> float | None:
    """Return the time that was so long ago, in Unix seconds: of 30s, 15m, 6h or 2d."""
    if value is None:
        return None
    match = _SPAN.fullmatch(value)
    if match is None:
        raise click.BadParameter("write it like 30s, 15m, 6h or 2d")
    return max(0.0, time.time() - int(match[1]) * _UNITS[match[2]])


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Return a time in Unix seconds: of such, of ISO 8601, or of a span from now like +10m.

    ISO 8601 without a zone is this machine's time.
    """
    if value is None:
        return None
    if (match := _SPAN.fullmatch(value.removeprefix("+"))) and value.startswith("+"):
        return time.time() + int(match[1]) * _UNITS[match[2]]
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", value):
            return float(value)
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            "write it like +10m, 2026-11-26T09:30 or 1795656600 (Unix seconds)"
        ) from None


def shown_time(seconds: float, to: str = "seconds") -> str:
    """Return Unix seconds as ISO 8601, in UTC, to the second or as exact as is said."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=to)


def shown_span(seconds: float) -> str:
    """Return a span as people say it: 12 s, 3 min, 5 h, 2 d."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
