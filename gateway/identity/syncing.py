"""All followers of an official account, learned from WeChat: on from where it broke off.

They are listed a page at a time; what each follower is comes a hundred at a time (PROTOCOL 7.4).
Behind each thousand it is noted how far it is, so that nothing is asked twice. No more than a page
of open ids is held at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from gateway.errors import GatewayError, StoreDown, Unanswered
from gateway.identity.patient_calls import BEAT_SECONDS, Means, PatientCalls, Pauses
from gateway.identity.people import AppUser, Platform, Sighting
from gateway.identity.ports import Checkpoints
from gateway.outbound.endpoints import Caller
from gateway.outbound.endpoints.followers import INFO_AT_ONCE, LIST, UserInfo, Users

BATCH: Final = 1000
"""Followers that are stored, and noted as done, in one step."""

IN_FLIGHT: Final = 5
"""Calls at once: those of a batch take two rounds."""

LEASE_SECONDS: Final = 60.0
"""So long a run may be silent before another one may take over."""

COMPLETE: Final = 0.9
"""The share of the followers that has to have been listed before anybody is noted as gone: while
it runs some come and some go, but an answer that lacks its list says that all are gone."""


class UnderWay(GatewayError):
    """Another run is at it."""

    def __init__(self, silent: float) -> None:
        super().__init__(silent)
        self.silent = silent
        """Seconds since it was last heard of."""

    def __str__(self) -> str:
        return (
            f"another run is at it, last heard of {self.silent:,.0f} s ago; let it finish, or end "
            f"it and wait until it was silent for {LEASE_SECONDS:.0f} s"
        )


class TakenOver(GatewayError):
    """Another run went on with it, for this one was silent too long."""

    def __str__(self) -> str:
        return "another run went on with it, for this one was silent too long"


class Incomplete(GatewayError):
    """WeChat listed much fewer followers than it says there are."""

    def __init__(self, listed: int, total: int) -> None:
        super().__init__(listed, total)
        self.listed = listed
        self.total = total

    def __str__(self) -> str:
        return (
            f"WeChat listed {self.listed:,} followers and says there are {self.total:,}; those "
            "listed are stored, and nobody is noted as gone"
        )


class Sees(Protocol):
    """What is asked of the store of people: IdentityStore."""

    async def see(self, sightings: Sequence[Sighting]) -> list[str]:
        """Take what was learned."""

    async def unfollow(self, app_id: str, before: float, at: float) -> int:
        """Note that those do not follow, whose following was seen before that time only."""

    async def count(self) -> tuple[int, int]:
        """Return how many people there are, and how many open ids."""


class Official(NamedTuple):
    """The account whose followers are learned."""

    name: str
    """As the settings call it."""
    app_id: str
    api: Caller
    pauses: Pauses
    """Of the limits that the calls have."""


class Watcher(Protocol):
    """Whoever looks on."""

    def begins(self, started_at: float, done: int) -> None:
        """Learn when it was begun, and how many were done by runs before this."""

    def moved(self, done: int, total: int) -> None:
        """Learn how many followers are done, of how many."""

    def waits(self, why: str, seconds: float) -> None:
        """Learn why nothing happens for a while."""


class Synced(NamedTuple):
    """What came of it."""

    followers: int
    with_union_id: int
    unfollowed: int
    """Those who were taken for followers and are none any more."""
    before: tuple[int, int]
    """How many people were known when it began, and how many open ids; of all apps."""
    after: tuple[int, int]


class _Noted(msgspec.Struct, frozen=True):
    """How far it is; a checkpoint."""

    started_at: float
    before: tuple[int, int]
    by: str
    """The run that is at it; empty where none is."""
    at: float
    """When it was last heard of."""
    page: str = ""
    """Behind whom the page begins that is under way."""
    last: str = ""
    """A digest of who was done last on it; empty at its beginning."""
    done: int = 0
    total: int = 0
    with_union_id: int = 0


class _Data(msgspec.Struct, frozen=True):
    open_ids: list[str] = msgspec.field(name="openid", default_factory=list)


class _Page(msgspec.Struct, frozen=True):
    """An answer of LIST; it has no data where nobody is on it."""

    total: int
    count: int
    data: _Data = _Data()
    after: str = msgspec.field(name="next_openid", default="")


class Sync:
    """One run of it, for one account."""

    def __init__(
        self,
        account: Official,
        store: Sees,
        checkpoints: Checkpoints,
        watcher: Watcher,
        means: Means,
        *,
        name: str,
    ) -> None:
        """``name`` is this run's, and no other's."""
        self._app_id = account.app_id
        self._store = store
        self._checkpoints = checkpoints
        self._checkpoint = checkpoint_name(account.name)
        self._watcher = watcher
        self._clock = means.clock
        self._name = name
        self._api = PatientCalls(
            account.name,
            account.api,
            account.pauses,
            means,
            waits=watcher.waits,
            beat=self._show_life,
        )
        self._users = Users(self._api)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._noted = _Noted(0.0, (0, 0), name, 0.0)

    async def run(self, *, restart: bool = False) -> Synced:
        """Learn all followers: on from where the last run broke off, unless to ``restart``.

        Raises UnderWay, TakenOver, Postponed, Incomplete, StoreDown, and ApiErrors that do not
        pass. After any of them, and after it was cancelled, another run goes on from there.
        """
        await self._begin(restart=restart)
        try:
            await self._list()
            return await self._end()
        except TakenOver:
            raise
        except BaseException:
            # The next run need not wait until this one was silent for long.
            with suppress(StoreDown, TakenOver):
                await self._note(replace(self._noted, by=""))
            raise

    async def _begin(self, *, restart: bool) -> None:
        known, now = await self._read(), self._clock()
        if known is not None and known.by and abs(now - known.at) < LEASE_SECONDS:
            raise UnderWay(max(0.0, now - known.at))
        if known is None or restart:
            known = _Noted(now, await self._store.count(), self._name, now)
        self._noted = replace(known, by=self._name, at=now)
        await self._write(self._noted)
        self._watcher.begins(known.started_at, known.done)

    async def _list(self) -> None:
        while True:
            at = self._now()
            page = await self._page()
            await self._take(page, at)
            if not page.data.open_ids or not page.after:
                return
            await self._note(replace(self._noted, page=page.after, last=""))

    async def _page(self) -> _Page:
        answer = await self._api.call("GET", LIST, query={"next_openid": self._noted.page})
        try:
            return msgspec.convert(answer, _Page)
        except msgspec.ValidationError:
            raise Unanswered(f"{LIST}: an answer that is no list of followers") from None

    async def _take(self, page: _Page, at: float) -> None:
        """Learn those on a page that were not yet; it was asked for at that time."""
        names = _behind(page.data.open_ids, self._noted.last)
        self._noted = replace(self._noted, total=page.total)
        self._watcher.moved(self._noted.done, page.total)
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            seen = await self._learn(batch, at)
            await self._store.see(seen)
            noted = self._noted
            with_union_id = sum(one.union_id is not None for one in seen)
            await self._note(
                replace(
                    noted,
                    last=_digest(batch[-1]),
                    done=noted.done + len(batch),
                    with_union_id=noted.with_union_id + with_union_id,
                )
            )
            self._watcher.moved(self._noted.done, page.total)

    async def _learn(self, names: Sequence[str], listed_at: float) -> list[Sighting]:
        """Return what WeChat tells of these, several calls at once."""
        parts = [names[at : at + INFO_AT_ONCE] for at in range(0, len(names), INFO_AT_ONCE)]
        calls = [asyncio.create_task(self._ask(part, listed_at)) for part in parts]
        try:
            found = await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        return [sighting for part in found for sighting in part]

    async def _ask(self, names: Sequence[str], listed_at: float) -> list[Sighting]:
        async with self._room:
            at = self._now()
            infos = {info.open_id: info for info in await self._users.those_told(names)}
        return [self._sighting(name, infos.get(name), at, listed_at) for name in names]

    def _sighting(self, name: str, info: UserInfo | None, at: float, listed_at: float) -> Sighting:
        user = AppUser(self._app_id, name)
        if info is None:
            # They were listed: so much is known.
            return _backfilled(user, listed_at, None, subscribed=True)
        return _backfilled(user, at, info.union_id or None, subscribed=info.subscribe != 0)

    async def _end(self) -> Synced:
        noted = self._noted
        if noted.done < COMPLETE * noted.total:
            raise Incomplete(noted.done, noted.total)
        gone = await self._store.unfollow(self._app_id, noted.started_at, noted.started_at)
        await self._checkpoints.note_checkpoint(self._checkpoint, None)
        after = await self._store.count()
        return Synced(noted.done, noted.with_union_id, gone, noted.before, after)

    async def _show_life(self) -> None:
        if self._clock() - self._noted.at >= BEAT_SECONDS:
            await self._note(self._noted)

    async def _note(self, noted: _Noted) -> None:
        """Note how far it is, and that it is alive; raise TakenOver."""
        held = await self._read()
        if held is not None and held.by not in ("", self._name):
            raise TakenOver
        self._noted = replace(noted, at=self._clock())
        await self._write(self._noted)

    async def _read(self) -> _Noted | None:
        raw = await self._checkpoints.checkpoint(self._checkpoint)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=_Noted)
        except msgspec.DecodeError:
            # Of another version: to be begun anew.
            return None

    async def _write(self, noted: _Noted) -> None:
        await self._checkpoints.note_checkpoint(self._checkpoint, msgspec.json.encode(noted))

    def _now(self) -> float:
        """Return the time, on a machine whose clock is late not before the run began elsewhere."""
        return max(self._clock(), self._noted.started_at)


def checkpoint_name(account: str) -> str:
    """Return under which name it is noted how far an account's run is."""
    return f"sync/{account}"


def _backfilled(user: AppUser, at: float, union_id: str | None, *, subscribed: bool) -> Sighting:
    return Sighting(
        user, Platform.OFFICIAL_ACCOUNT, at, union_id, subscribed=subscribed, active=False
    )


def _behind(names: list[str], last: str) -> list[str]:
    """Return those behind the one of this digest; all, where that one is not there (any more)."""
    if not last:
        return names
    found = next((at for at, name in enumerate(names) if _digest(name) == last), -1)
    return names[found + 1 :]


def _digest(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:16]
