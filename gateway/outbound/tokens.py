"""Access tokens and tickets: one refresh for all processes, early, and never twice for one death.

A refresh names the token that it replaces. Whoever finds a newer one in the store takes that; else
one process is let through, by a lock with a fence, and the others wait for what it brings. While
the store is down no process knows of the others: a stable token is then fetched by each, which
leaves it as it is (PROTOCOL 7.1), a plain one is not, for that would end the others'.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from gateway.errors import ApiError, StoreDown, TokenUnavailable
from gateway.outbound.ports import StoredToken, TokenStore
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.token")

CLAIM_SECONDS: Final = 15.0
"""How long a refresh may take before another process may try."""

WAIT_SECONDS: Final = 20.0
"""How long a call waits for a token at most."""

POLL_SECONDS: Final = 0.05
"""Between two looks for what another process fetches."""

LAST_SECONDS: Final = 10.0
"""A token is not used within these before it ends, for the call may take some."""

PAUSE_SECONDS: Final = 5.0
"""After a refresh that failed, none is tried for so long; its calls fail with the same error."""


class Fetched(NamedTuple):
    """What WeChat gave."""

    value: str
    expires_in: float
    """Seconds."""


class Source(Protocol):
    """Where tokens of one kind come from."""

    @property
    def shared(self) -> bool:
        """Whether each process may fetch for itself, without ending the others' tokens."""

    @property
    def early(self) -> float:
        """Seconds before a token's end at which the next one can be had."""

    async def fetch(self) -> Fetched:
        """Return the token that holds; raise ApiError."""

    async def force(self) -> Fetched | None:
        """Return a new token where ``fetch`` gives a dead one; None where that cannot be had."""


class Failure(NamedTuple):
    """A refresh that failed."""

    error: ApiError
    until: float
    """Unix seconds: before this it is not tried again."""


class Tokens:
    """The tokens of one name, to one process."""

    def __init__(
        self,
        name: str,
        source: Source,
        store: TokenStore,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``clock`` gives Unix seconds."""
        self.name = name
        self._source = source
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._token: StoredToken | None = None
        self._refreshing: asyncio.Task[StoredToken] | None = None
        self._failure: Failure | None = None

    async def get(self) -> StoredToken:
        """Return a token that holds, from memory most often.

        Raises TokenUnavailable, or the ApiError that a refresh ended with.
        """
        token, now = self._token, self._clock()
        if token is None or now >= token.expires_at - LAST_SECONDS:
            return await self._refresh(token)
        is_late = now >= token.expires_at - self._source.early
        if is_late and self._refreshing is None and not self._has_failed(now):
            self._start(token).add_done_callback(self._tell)
        return token

    @property
    def failure(self) -> ApiError | None:
        """The error of the last refresh, where that failed."""
        return None if self._failure is None else self._failure.error

    async def replace(self, dead: StoredToken) -> StoredToken:
        """Return another token than this one, which WeChat refused; raise as ``get`` does."""
        while True:
            token = self._token
            if token is not None and self._is_better(token, dead):
                return token
            # What was under way already may be an early refresh, which brings the dead one again.
            under_way = self._refreshing
            token = await self._refresh(dead, is_dead=True)
            if token.value != dead.value or under_way is None:
                return token

    async def close(self) -> None:
        """End a refresh that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._refreshing

    async def _refresh(self, old: StoredToken | None, *, is_dead: bool = False) -> StoredToken:
        """Wait for the refresh that is under way, or for a new one."""
        if self._failure is not None and self._has_failed(self._clock()):
            raise self._failure.error
        # Shielded: a caller that gives up leaves the others theirs.
        return await asyncio.shield(self._refreshing or self._start(old, is_dead=is_dead))

    def _has_failed(self, now: float) -> bool:
        """Tell whether a refresh failed so short a time ago that none is to be tried."""
        return self._failure is not None and now < self._failure.until

    def _start(
        self, old: StoredToken | None, *, is_dead: bool = False
    ) -> asyncio.Task[StoredToken]:
        def ended(task: asyncio.Task[StoredToken]) -> None:
            self._refreshing = None
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                self._token, self._failure = task.result(), None
                return
            if isinstance(error, ApiError):
                self._failure = Failure(error, self._clock() + PAUSE_SECONDS)

        task = self._refreshing = asyncio.create_task(self._renew(old, is_dead=is_dead))
        task.add_done_callback(ended)
        return task

    def _tell(self, task: asyncio.Task[StoredToken]) -> None:
        """Log the failure of a refresh that nobody waits for."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("token not refreshed, for now", token=self.name, error=str(error))

    async def _renew(self, old: StoredToken | None, *, is_dead: bool) -> StoredToken:
        """Return what another process fetched, or fetch."""
        until = self._clock() + WAIT_SECONDS
        while True:
            try:
                known = await self._store.read(self.name)
                if known is not None and self._is_better(known, old):
                    return known
                claimed = await self._store.claim(
                    self.name, 0 if known is None else known.fence, CLAIM_SECONDS
                )
            except StoreDown as down:
                return await self._fetch_alone(old, down, is_dead=is_dead)
            if claimed.newer is not None and self._is_better(claimed.newer, old):
                return claimed.newer
            if claimed.fence is not None:
                return await self._fetch(claimed.fence, old, is_dead=is_dead)
            if self._clock() >= until:
                raise TokenUnavailable(
                    f"token {self.name}: another process refreshes it, for {WAIT_SECONDS:g} s; "
                    "look at its log"
                )
            await self._sleep(POLL_SECONDS)

    def _is_better(self, known: StoredToken, old: StoredToken | None) -> bool:
        """Tell whether a stored token can take the old one's place."""
        if self._clock() >= known.expires_at - LAST_SECONDS:
            return False
        if old is None:
            return True
        # A store that lost its memory counts from 1 again.
        is_later = known.fence > old.fence or known.fetched_at > old.fetched_at
        return known.value != old.value and is_later

    async def _fetch(self, fence: int, old: StoredToken | None, *, is_dead: bool) -> StoredToken:
        """Fetch a token for all processes."""
        try:
            token = await self._ask(fence, old, is_dead=is_dead)
        except BaseException:
            with suppress(StoreDown):
                await self._store.give_up(self.name, fence, PAUSE_SECONDS)
            raise
        with suppress(StoreDown):
            if not await self._store.put(self.name, token):
                _log.warning("token refreshed by another process meanwhile", token=self.name)
        return token

    async def _fetch_alone(
        self, old: StoredToken | None, down: StoreDown, *, is_dead: bool
    ) -> StoredToken:
        """Fetch a token for this process, where that harms no other."""
        if not self._source.shared:
            raise TokenUnavailable(f"token {self.name}: {down}") from None
        return await self._ask(0 if old is None else old.fence, old, is_dead=is_dead)

    async def _ask(self, fence: int, old: StoredToken | None, *, is_dead: bool) -> StoredToken:
        """Ask WeChat for a token; for another one where it gives the dead one."""
        fetched: Fetched | None = await self._source.fetch()
        if is_dead and old is not None and fetched is not None and fetched.value == old.value:
            fetched = await self._source.force()
        if fetched is None:
            raise TokenUnavailable(
                f"token {self.name}: WeChat refuses the token that it gives; it is asked for "
                "another one every 30 seconds at most"
            )
        now = self._clock()
        _log.info("token refreshed", token=self.name, seconds=round(fetched.expires_in))
        return StoredToken(fetched.value, fence, now, now + fetched.expires_in)
