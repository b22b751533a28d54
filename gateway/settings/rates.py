"""How fast an account may send, as settings say it: 200/s, 60/min, 3000/h, 100000/d."""

import re
from typing import Any, Final, NamedTuple

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_MOST: Final = 10_000.0
"""Sends in a second."""


class SendRate(NamedTuple):
    """A number of sends in a time."""

    per_second: float
    burst: int
    """Sends that may go at once: what goes in a second, and one at least."""


def parse_rate(text: Any) -> SendRate:
    """Return the rate that a text says; raise ValueError, saying how to write it."""
    number, _, unit = str(text).partition("/")
    if not re.fullmatch(r"[0-9]{1,9}", number) or unit not in _SECONDS or not int(number):
        raise ValueError("must be a number of sends in a time, such as 200/s, 60/min or 3000/h")
    per_second = int(number) / _SECONDS[unit]
    if per_second > _MOST:
        raise ValueError(f"must be {_MOST:,.0f}/s at most; leave it out for no bound")
    return SendRate(per_second, max(1, int(per_second)))


CHANNELS: Final = ("template", "notice", "mini_program", "custom", "mass")


def check_limited(name: str) -> str:
    """Return the channel or path that has a rate; raise ValueError where it is neither."""
    if name not in CHANNELS and not re.fullmatch(r"/[\w./-]+", name):
        raise ValueError(
            f"must be one of {', '.join(CHANNELS)}, or a path such as /cgi-bin/user/get"
        )
    return name
