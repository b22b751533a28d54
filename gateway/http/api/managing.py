"""Messages are cancelled, tried again, discarded: one, or all that match, with a count first."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from litestar import MediaType, Response, post
from litestar.handlers import HTTPRouteHandler

from gateway.http.api.asking import Ask, Asked, Bodies
from gateway.http.api.filters import Action, read, wanted_by
from gateway.http.api.keys import ApiKey, Scope
from gateway.http.api.problems import Problem
from gateway.http.api.reading import Reading
from gateway.http.api.views import Acted, Message, shown
from gateway.outbound.jobs import DEAD_LETTERS, UNSENT, State, Wanted
from gateway.outbound.ports import JobRecords
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.push")

AT_ONCE: Final = 1000
"""Messages that are acted on by one transaction."""


class Deed(NamedTuple):
    """What may be done to messages."""

    name: str
    among: tuple[State, ...]
    """The states of those that it may be done to."""
    act: Callable[[JobRecords, Wanted, int, float], Awaitable[int]]
    """Does it to so many at most, at this time in Unix seconds; returns to how many."""
    whom: str = ""
    """Whom it may be done to, in words."""


async def _discard(records: JobRecords, wanted: Wanted, limit: int, _at: float) -> int:
    return await records.discard(wanted, limit)


CANCEL: Final = Deed(
    "cancel",
    (State.QUEUED,),
    lambda records, *given: records.cancel(*given),
    "only what is queued can be cancelled",
)
RETRY: Final = Deed(
    "retry",
    UNSENT,
    lambda records, *given: records.retry(*given),
    "only what was not sent can be tried again, and only while it is kept what it says",
)
RETRY_DEAD: Final = RETRY._replace(among=DEAD_LETTERS)
DISCARD_DEAD: Final = Deed("discard", DEAD_LETTERS, _discard)


class Managing:
    """Acts on the records, for a key's accounts alone."""

    def __init__(self, records: JobRecords, reading: Reading, clock: Callable[[], float]) -> None:
        self._records = records
        self._reading = reading
        self._clock = clock

    async def one(self, key: ApiKey, id_: str, deed: Deed) -> Message:
        """Act on a message; return what it is then.

        Raises Problem where there is none that the key may see, or where it cannot be done.
        """
        await self._reading.one(key, id_)
        done = await deed.act(self._records, Wanted(ids=(id_,)), 1, self._clock())
        record = await self._reading.one(key, id_)
        _log.info("push changed by key", action=deed.name, key=key.name, job_id=id_, done=done)
        if not done:
            raise Problem(409, f"the message is {record.state}; {deed.whom}", id=id_)
        return shown(record)

    async def all(self, key: ApiKey, action: Action, deed: Deed) -> Acted:
        """Act on all that are meant and there by now; raise PushRefused, Forbidden."""
        meant = wanted_by(action, key, deed.among, self._clock())
        matched = await self._records.count(meant)
        done = 0 if action.dry_run else await self._each(meant, deed)
        _log.info("push changed by key", action=deed.name, key=key.name, matched=matched, done=done)
        return Acted(matched, done)

    async def _each(self, meant: Wanted, deed: Deed) -> int:
        """Act on each of them once, however soon it fails again; return on how many."""
        done, after = 0, None
        while True:
            found = await self._records.find(meant, AT_ONCE, after)
            # Their states may have changed meanwhile, and nothing else.
            these = Wanted(ids=tuple(one.id for one in found), states=meant.states)
            done += await deed.act(self._records, these, AT_ONCE, self._clock()) if found else 0
            if len(found) < AT_ONCE:
                return done
            after = found[-1].id


def managing_routes(ask: Ask, managing: Managing, bodies: Bodies) -> list[HTTPRouteHandler]:
    """Return the routes."""

    def one(path: str, deed: Deed) -> HTTPRouteHandler:
        @post(path, media_type=MediaType.JSON, status_code=200, name=f"one:{path}")
        async def act(request: Asked) -> Response[Message]:
            """Act on a message."""
            key = ask(request, Scope.MANAGE)
            return Response(await managing.one(key, request.path_params["id_"], deed))

        return act

    def every(path: str, deed: Deed) -> HTTPRouteHandler:
        @post(path, media_type=MediaType.JSON, status_code=200, name=f"every:{path}")
        async def act(request: Asked) -> Response[Any]:
            """Act on all that match."""
            key = ask(request, Scope.MANAGE)
            action = read(await bodies.read(request), Action)
            return Response(await managing.all(key, action, deed))

        return act

    return [
        one("/messages/{id_:str}/cancel", CANCEL),
        one("/messages/{id_:str}/retry", RETRY),
        every("/messages/cancel", CANCEL),
        every("/dead-letters/retry", RETRY_DEAD),
        every("/dead-letters/discard", DISCARD_DEAD),
    ]
