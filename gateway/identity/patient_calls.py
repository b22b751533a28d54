"""Calls of long work that nobody waits for: limits are waited out, what may pass is tried again."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from gateway.backoff import full_jitter
from gateway.errors import (
    ApiError,
    Busy,
    GatewayError,
    Limited,
    NotSent,
    Throttled,
    TokenUnavailable,
    Unanswered,
)
from gateway.outbound.api import Answer
from gateway.outbound.endpoints import Caller
from gateway.outbound.policy import throttled_until

LONGEST_SECONDS: Final = 3700.0
"""The longest limit that is waited for: a little more than an hour's."""

SHORT_SECONDS: Final = 5.0
"""How long a limit of the account's own is waited for: it has no end, it lets one after another."""

BEAT_SECONDS: Final = 15.0
"""Between two signs of life while it waits."""

TRIES: Final = 8
BASE_SECONDS: Final = 1.0
CAP_SECONDS: Final = 60.0

_USED_UP: Final = 45009


class Postponed(GatewayError):
    """A limit of WeChat's is used up for so long that nobody waits for it."""

    def __init__(self, path: str, until: float) -> None:
        super().__init__(path, until)
        self.path = path
        self.until = until
        """When it begins anew, Unix seconds."""

    def __str__(self) -> str:
        return f"WeChat's quota of {self.path} is used up"


class Pauses(Protocol):
    """Which limits are used up: Budgets."""

    async def paused(self) -> Mapping[str, float]:
        """Return until when, in Unix seconds, by the limit's name."""


class Means(NamedTuple):
    """Time and chance, as long work has them."""

    clock: Callable[[], float]
    """Gives Unix seconds."""
    sleep: Callable[[float], Awaitable[None]]
    draw: Callable[[], float]
    """Gives numbers in [0, 1)."""


class PatientCalls:
    """The Caller of an account that waits as long as it takes, and tells of it."""

    def __init__(
        self,
        account: str,
        api: Caller,
        pauses: Pauses,
        means: Means,
        *,
        waits: Callable[[str, float], None],
        beat: Callable[[], Awaitable[None]],
    ) -> None:
        """``waits`` is told why it waits, and how many seconds, once for each end.

        ``beat`` is called before each call, and every BEAT_SECONDS of a wait.
        """
        self._account = account
        self._api = api
        self._pauses = pauses
        self._means = means
        self._waits = waits
        self._beat = beat
        self._told_until = 0.0

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Any = None,
        file: Any = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Return what WeChat answers; raise Postponed, and any ApiError that does not pass."""
        tried = 0
        while True:
            await self._beat()
            try:
                return await self._api.call(
                    method, path, json=json, query=query, file=file, repeatable=repeatable
                )
            except Throttled as error:
                await self._wait_for_limit(path, error)
            except Limited:
                await self._wait_for_pause(path)
            except (Busy, NotSent, Unanswered, TokenUnavailable) as error:
                tried += 1
                if tried >= TRIES:
                    raise
                await self._back_off(tried, error)

    async def _wait_for_limit(self, path: str, error: Throttled) -> None:
        until = throttled_until(error.code, self._means.clock())
        if error.code == _USED_UP:
            raise Postponed(path, until)
        await self._wait_until(path, until)

    async def _wait_for_pause(self, path: str) -> None:
        now = self._means.clock()
        # As CallLimits names them.
        until = (await self._pauses.paused()).get(f"{self._account}{path}", 0.0)
        await self._wait_until(path, until if until > now else now + SHORT_SECONDS)

    async def _wait_until(self, path: str, until: float) -> None:
        if until - self._means.clock() > LONGEST_SECONDS:
            raise Postponed(path, until)
        await self._wait(f"the limit of {path} is used up for now", until)

    async def _back_off(self, tried: int, error: ApiError) -> None:
        pause = full_jitter(tried, BASE_SECONDS, CAP_SECONDS, self._means.draw())
        await self._wait(str(error), self._means.clock() + pause)

    async def _wait(self, why: str, until: float) -> None:
        if until > self._told_until:
            self._told_until = until
            self._waits(why, until - self._means.clock())
        while (left := until - self._means.clock()) > 0:
            await self._means.sleep(min(left, BEAT_SECONDS))
            await self._beat()
