"""What is looked at of the stores and accounts of the settings, for metrics and for health."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from gateway.adapters import migrate
from gateway.app.api import Apis
from gateway.errors import ApiError, SettingsError, StoreDown
from gateway.inbound.ports import LaneStatus
from gateway.inbound.ports import Wanted as WantedLetters
from gateway.inbound.runtime import Stores
from gateway.outbound.endpoints.console import Console
from gateway.outbound.jobs import DEAD_LETTERS, PATHS, Backlog, Channel, Wanted
from gateway.outbound.ports import JobRecords
from gateway.settings import Settings
from gateway.telemetry import instruments
from gateway.telemetry.instruments import Instrument
from gateway.telemetry.metrics import Family, Point
from gateway.telemetry.watching import Component, Problem, Read

_T = TypeVar("_T")

MIGRATIONS_SECONDS: Final = 60.0


def components(
    settings: Settings,
    stores: Stores,
    lanes: Callable[[], Collection[str]],
    records: JobRecords | None,
    apis: Apis,
) -> list[Component]:
    """Return what there is to look at; ``lanes`` are those that are told of when empty, too."""
    given = settings.accounts.items()
    app_ids = {name: one.app_id for name, one in given if one.app_secret is not None}
    found = [
        Component("store", _lanes(stores, lanes)),
        Component("dead_letters", _letters(stores)),
    ]
    if records is not None:
        found.append(Component("push", _backlog(records, list(app_ids))))
        found.append(Component("push_pauses", _pauses(apis)))
    if settings.store.postgres_dsn is not None:
        dsn = settings.store.postgres_dsn.get_secret_value()
        read = _migrations(dsn, settings.store.timeout)
        found.append(Component("migrations", read, fresh=MIGRATIONS_SECONDS, needed=True))
    for name, app_id in app_ids.items():
        found.append(Component(f"token.{name}", _token(apis, name, app_id)))
    if settings.telemetry.quota_seconds and app_ids:
        read = _quotas(apis, app_ids)
        every = settings.telemetry.quota_seconds
        found.append(Component("quota", read, fresh=every, in_health=False))
    return found


def _family(instrument: Instrument, *points: tuple[tuple[str, ...], float]) -> Family:
    return Family(instrument, [Point(labels, value) for labels, value in points])


async def _asked(awaited: Awaitable[_T]) -> _T:
    """Return what a store answers; raise Problem where it does not."""
    try:
        return await awaited
    except StoreDown as down:
        raise Problem(str(down)) from None


def _lanes(stores: Stores, known: Callable[[], Collection[str]]) -> Read:
    async def read() -> Sequence[Family]:
        found = {one.lane: one for one in await _asked(stores.store.lanes())}
        empty = {lane: LaneStatus(lane, 0, 0, 0, 0.0) for lane in known()}
        lanes = (empty | found).values()
        depth = [
            ((one.lane, state), float(getattr(one, state)))
            for one in lanes
            for state in ("waiting", "delayed", "held")
        ]
        return [
            _family(instruments.LANE_DEPTH, *depth),
            _family(instruments.LANE_AGE, *(((one.lane,), one.oldest) for one in lanes)),
        ]

    return read


def _letters(stores: Stores) -> Read:
    async def read() -> Sequence[Family]:
        count = await _asked(stores.dead_letters.count(WantedLetters()))
        return [_family(instruments.DEAD_LETTERS, (("inbound",), float(count)))]

    return read


def _backlog(records: JobRecords, accounts: Sequence[str]) -> Read:
    empty = {
        (account, channel): Backlog(account, channel, 0, 0, 0, 0, 0.0)
        for account in accounts
        for channel in Channel
    }

    async def read() -> Sequence[Family]:
        found = {(one.account, one.channel): one for one in await _asked(records.backlog())}
        backlog = (empty | found).values()
        dead = await _asked(records.count(Wanted(states=DEAD_LETTERS)))
        depth = [
            ((one.account, one.channel.value, state), float(getattr(one, state)))
            for one in backlog
            for state in ("waiting", "retrying", "delayed", "sending")
        ]
        ages = [((one.account, one.channel.value), one.oldest) for one in backlog]
        return [
            _family(instruments.PUSH_DEPTH, *depth),
            _family(instruments.PUSH_AGE, *ages),
            _family(instruments.DEAD_LETTERS, (("push",), float(dead))),
        ]

    return read


def _pauses(apis: Apis) -> Read:
    async def read() -> Sequence[Family]:
        paused = await _asked(apis.budgets.paused())
        now = time.time()
        points = []
        for name, until in paused.items():
            account, _, limited = name.partition("/")
            points.append(((account, limited), max(0.0, until - now)))
        return [_family(instruments.PAUSED, *points)]

    return read


def _migrations(dsn: str, within: float) -> Read:
    async def read() -> Sequence[Family]:
        try:
            names = await migrate.pending(dsn, within)
        except StoreDown:
            # Which the stores' own components tell of: nothing is wrong with the tables.
            return ()
        except SettingsError as wrong:
            raise Problem(str(wrong)) from None
        if names:
            raise Problem(f"this database lacks {', '.join(names)}; run: gateway migrate")
        return ()

    return read


def _token(apis: Apis, name: str, app_id: str) -> Read:
    async def read() -> Sequence[Family]:
        token = await _asked(apis.store.read(app_id))
        families: list[Family] = []
        # There is none before the first call.
        if token is not None:
            now = time.time()
            families = [
                _family(instruments.TOKEN_AGE, ((name,), now - token.fetched_at)),
                _family(instruments.TOKEN_LEFT, ((name,), token.expires_at - now)),
            ]
        if (failure := apis.of(name).tokens.failure) is not None:
            raise Problem(str(failure), families)
        return families

    return read


def _quotas(apis: Apis, app_ids: Mapping[str, str]) -> Read:
    async def read() -> Sequence[Family]:
        points = []
        for name in app_ids:
            console = Console(apis.of(name).api, app_ids[name])
            for path in PATHS.values():
                try:
                    quota = await console.quota(path)
                except ApiError:
                    # The account has no such endpoint, or WeChat does not tell.
                    continue
                points.append(((name, path), float(quota.remain)))
        return [_family(instruments.QUOTA_LEFT, *points)]

    return read
