"""What became of messages, and what waits: one, many page by page, counts."""

from typing import TypeVar

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.http.api.asking import Ask, Asked
from gateway.http.api.filters import (
    BatchName,
    Counted,
    Id,
    Page,
    fits,
    read_query,
    wanted,
)
from gateway.http.api.keys import ApiKey, Scope
from gateway.http.api.problems import Problem
from gateway.http.api.views import (
    Backlog,
    BatchStands,
    Message,
    Messages,
    Outcome,
    Outcomes,
    Waiting,
    shown,
)
from gateway.outbound.jobs import DEAD_LETTERS, Record, State, Wanted
from gateway.outbound.ports import JobRecords


class Reading:
    """Looks at the records, for a key's accounts alone."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records

    async def one(self, key: ApiKey, id_: str) -> Record:
        """Return a message's record; raise Problem where there is none that the key may see."""
        found = []
        if fits(id_, Id):
            found = await self._records.find(Wanted(ids=(id_,)), 1)
        if not found or not key.sees(found[0].account):
            raise Problem(404, "there is no message of this id")
        return found[0]

    async def page(
        self, key: ApiKey, page: Page, among: tuple[State, ...] | None = None
    ) -> Messages:
        """Return a page of messages, newest first."""
        meant = wanted(page, key, among)
        # One more tells whether there is a next page.
        found = await self._records.find(meant, page.limit + 1, page.after)
        told = found[: page.limit]
        has_more = len(found) > page.limit
        return Messages(tuple(shown(one) for one in told), told[-1].id if has_more else None)

    async def outcomes(self, key: ApiKey, counted: Counted) -> Outcomes:
        """Return counts by day, template and state."""
        meant = Wanted(
            account=key.one_account(counted.account),
            template=counted.template,
            since=counted.since,
            before=counted.before,
        )
        return Outcomes(tuple(Outcome(*one) for one in await self._records.outcomes(meant)))

    async def batch(self, key: ApiKey, name: str) -> BatchStands:
        """Return how a batch stands; raise Problem where there is none that the key may see."""
        states: dict[State, int] = {}
        if fits(name, BatchName) and not key.accounts:
            states = await self._records.batch(name)
        elif fits(name, BatchName):
            for account in sorted(key.accounts):
                for one in await self._records.outcomes(Wanted(batch=name, account=account)):
                    states[one.state] = states.get(one.state, 0) + one.jobs
        if not states:
            raise Problem(404, "there is no batch of this name")
        return BatchStands(name, sum(states.values()), states)

    async def backlog(self, key: ApiKey) -> Backlog:
        """Return what waits."""
        found = await self._records.backlog()
        return Backlog(tuple(Waiting(*one) for one in found if key.sees(one.account)))


_T = TypeVar("_T")


def _query(request: Asked, type_: type[_T]) -> _T:
    return read_query(request.query_params.multi_items(), type_)


def reading_routes(ask: Ask, reading: Reading) -> list[HTTPRouteHandler]:
    """Return the routes."""

    @get("/messages/{id_:str}", media_type=MediaType.JSON)
    async def message(request: Asked) -> Response[Message]:
        """Tell what became of a message."""
        key = ask(request, Scope.READ)
        return Response(shown(await reading.one(key, request.path_params["id_"])))

    @get("/messages", media_type=MediaType.JSON)
    async def messages(request: Asked) -> Response[Messages]:
        """List messages."""
        key = ask(request, Scope.READ)
        return Response(await reading.page(key, _query(request, Page)))

    @get("/dead-letters", media_type=MediaType.JSON)
    async def dead_letters(request: Asked) -> Response[Messages]:
        """List dead letters."""
        key = ask(request, Scope.READ)
        return Response(await reading.page(key, _query(request, Page), DEAD_LETTERS))

    @get("/outcomes", media_type=MediaType.JSON)
    async def outcomes(request: Asked) -> Response[Outcomes]:
        """Count messages."""
        key = ask(request, Scope.READ)
        return Response(await reading.outcomes(key, _query(request, Counted)))

    @get("/batches/{name:str}", media_type=MediaType.JSON)
    async def batch(request: Asked) -> Response[BatchStands]:
        """Tell how a batch stands."""
        key = ask(request, Scope.READ)
        return Response(await reading.batch(key, request.path_params["name"]))

    @get("/backlog", media_type=MediaType.JSON)
    async def backlog(request: Asked) -> Response[Backlog]:
        """Tell what waits."""
        return Response(await reading.backlog(ask(request, Scope.READ)))

    return [message, messages, dead_letters, outcomes, batch, backlog]
