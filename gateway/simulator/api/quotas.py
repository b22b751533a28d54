"""How often an account may call each endpoint: by the day, Beijing's, and by the minute."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

DAY: Final = 86_400
BEIJING: Final = 8 * 3600
MINUTE: Final = 60

USED_UP: Final = 45009
TOO_OFTEN: Final = 45011


class Quota(NamedTuple):
    """Calls of one endpoint."""

    daily: int | None
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
    "/sns/oauth2/access_token": Quota(None, 50_000),
    "/sns/oauth2/refresh_token": Quota(None, 50_000),
    "/sns/userinfo": Quota(None, 50_000),
    "/sns/auth": Quota(None, 50_000),
    "/sns/jscode2session": Quota(None, 50_000),
}
"""The limits of a new account (PROTOCOL 7.7); those of signing in are in 7.5."""


@dataclass(slots=True)
class _Used:
    """Calls of one endpoint within the limits."""

    day: int = 0
    """Which one, since 1970."""
    today: int = 0
    minute: int = 0
    this_minute: int = 0


class Quotas:
    """What one account has used."""

    def __init__(self, clock: Callable[[], float], limits: Mapping[str, Quota] = DAILY) -> None:
        """``clock`` gives Unix seconds."""
        self._clock = clock
        self.limits = dict(limits)
        self._used: dict[str, _Used] = {}

    def take(self, path: str) -> int:
        """Count a call; return the errcode that it gets, 0 where it is within the limits."""
        quota = self.limits.get(path)
        if quota is None:
            return 0
        used = self._of_now(path)
        if quota.daily is not None and used.today >= quota.daily:
            return USED_UP
        if quota.per_minute is not None and used.this_minute >= quota.per_minute:
            return TOO_OFTEN
        used.today += 1
        used.this_minute += 1
        return 0

    def used(self, path: str) -> int:
        """Return how many calls of today were within the limits."""
        return self._of_now(path).today

    def clear(self) -> None:
        """Let all of them begin anew, as clear_quota does."""
        self._used.clear()

    def _of_now(self, path: str) -> _Used:
        used = self._used.get(path)
        if used is None:
            used = self._used[path] = _Used()
        now = int(self._clock())
        day, minute = (now + BEIJING) // DAY, now // MINUTE
        if used.day != day:
            used.day, used.today = day, 0
        if used.minute != minute:
            used.minute, used.this_minute = minute, 0
        return used
