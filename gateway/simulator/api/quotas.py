"""How often an account may call each endpoint: by the day, Beijing's, and by the minute."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

DAY: Final = 86_400
BEIJING: Final = 8 * 3600
MINUTE: Final = 60

USED_UP: Final = 45009
TOO_OFTEN: Final = 45011


class Quota(NamedTuple):
    """Calls of one endpoint."""

    daily: int
    per_minute: int | None = None


DAILY: Final[Mapping[str, Quota]] = {
    "/cgi-bin/token": Quota(2000),
    "/cgi-bin/stable_token": Quota(500_000, 10_000),
    "/cgi-bin/message/template/send": Quota(100_000),
    "/cgi-bin/message/custom/send": Quota(500_000),
    "/cgi-bin/message/mass/sendall": Quota(100, 60),
    "/cgi-bin/message/mass/send": Quota(100, 60),
    "/cgi-bin/qrcode/create": Quota(100_000),
    "/cgi-bin/user/get": Quota(500),
    "/cgi-bin/user/info": Quota(5_000_000),
    "/cgi-bin/menu/create": Quota(1000),
    "/cgi-bin/menu/get": Quota(10_000),
    "/cgi-bin/menu/delete": Quota(1000),
    "/cgi-bin/media/upload": Quota(100_000),
    "/cgi-bin/media/get": Quota(200_000),
}
"""The limits of a new account (PROTOCOL 7.7)."""


class Quotas:
    """What one account has used."""

    def __init__(self, clock: Callable[[], float], limits: Mapping[str, Quota] = DAILY) -> None:
        """``clock`` gives Unix seconds."""
        self._clock = clock
        self.limits = dict(limits)
        self._used: dict[tuple[str, str, int], int] = {}

    def take(self, path: str) -> int:
        """Count a call; return the errcode that it gets, 0 where it is within the limits."""
        quota = self.limits.get(path)
        if quota is None:
            return 0
        now = self._clock()
        day = (path, "day", int(now + BEIJING) // DAY)
        minute = (path, "minute", int(now) // MINUTE)
        if self._used.get(day, 0) >= quota.daily:
            return USED_UP
        if quota.per_minute is not None and self._used.get(minute, 0) >= quota.per_minute:
            return TOO_OFTEN
        self._used[day] = self._used.get(day, 0) + 1
        self._used[minute] = self._used.get(minute, 0) + 1
        return 0

    def used(self, path: str) -> int:
        """Return how many calls of today were within the limits."""
        return self._used.get((path, "day", int(self._clock() + BEIJING) // DAY), 0)

    def clear(self) -> None:
        """Let all of them begin anew, as clear_quota does."""
        self._used.clear()
