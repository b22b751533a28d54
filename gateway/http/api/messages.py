"""POST /push/messages: one message, or up to 1,000; queued durably, or refused field by field."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import MediaType, Response, post
from litestar.handlers import HTTPRouteHandler

from gateway.errors import KeyReused, PushRefused
from gateway.http.api.asking import Ask, Asked, Bodies
from gateway.http.api.filters import FAR, read
from gateway.http.api.keys import ApiKey, Forbidden, Scope
from gateway.http.api.problems import errors_of
from gateway.http.api.views import Many, OneOfMany, Queued
from gateway.outbound.batches import BREATH, Pushes
from gateway.outbound.jobs import Added, Job, State, Wanted
from gateway.outbound.ports import JobRecords
from gateway.outbound.requests import PushRequest

MOST: Final = 1000
"""Messages in one request."""

IDEMPOTENCY_KEY: Final = "idempotency-key"


class KeyedPush:
    """What pushes on behalf of a key: for its accounts alone."""

    def __init__(self, push: Pushes, key: ApiKey) -> None:
        self._push = push
        self._key = key

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request, not stored; raise PushRefused, or Forbidden."""
        account = self._key.account(request.account)
        if account is None and self._key.accounts:
            account = self._key.one_account(None)
        for name, at in (("not_before", request.not_before), ("expires_at", request.expires_at)):
            if at is not None and not 0 <= at <= FAR:
                raise PushRefused(f"{name}: no time; give Unix seconds")
        given = msgspec.structs.replace(request, account=account or "")
        return self._push.make(given, batch=batch)

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs; raise StoreDown."""
        return await self._push.store(jobs)


class Sending:
    """Takes messages."""

    def __init__(self, push: Pushes, records: JobRecords) -> None:
        self._push = push
        self._records = records

    async def one(self, key: ApiKey, given: dict[str, Any], header: str | None) -> Queued:
        """Queue a message; ``header`` is its idempotency key where it has none itself.

        Raises PushRefused, Forbidden, KeyReused, StoreDown.
        """
        request = read(given, PushRequest)
        if header is not None and request.idempotency_key is None:
            request = msgspec.structs.replace(request, idempotency_key=_unquoted(header))
        (added,) = await self._push.store([KeyedPush(self._push, key).make(request)])
        if not added.is_same:
            raise KeyReused(added.id)
        states = await self._states([added])
        return Queued(added.id, states[added.id], added.is_new)

    async def many(self, key: ApiKey, given: list[Any]) -> Many:
        """Queue those that nothing is wrong with; raise Forbidden, StoreDown."""
        push = KeyedPush(self._push, key)
        told: list[OneOfMany | None] = []
        jobs: list[Job] = []
        for number, one in enumerate(given):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            try:
                jobs.append(push.make(read(one, PushRequest)))
                told.append(None)
            except Forbidden:
                raise
            except PushRefused as refused:
                told.append(OneOfMany(errors=errors_of(refused)))
        added = await self._push.store(jobs) if jobs else []
        states = await self._states([one for one in added if one.is_same])
        stored = iter(added)
        messages = tuple(one or _one_of_many(next(stored), states) for one in told)
        return Many(
            sum(one.is_new for one in added),
            sum(one.is_same and not one.is_new for one in added),
            sum(one.errors is not msgspec.UNSET for one in messages),
            messages,
        )

    async def _states(self, added: Sequence[Added]) -> dict[str, State]:
        """Return where messages stand by their ids; new ones wait."""
        known = tuple(one.id for one in added if not one.is_new)
        found = await self._records.find(Wanted(ids=known), len(known)) if known else []
        states = dict.fromkeys((one.id for one in added), State.QUEUED)
        return states | {record.id: record.state for record in found}


def sending_route(ask: Ask, sending: Sending, bodies: Bodies, max_body: int) -> HTTPRouteHandler:
    """Return the route; a body of more than ``max_body`` bytes is refused."""

    @post(
        "/messages",
        media_type=MediaType.JSON,
        status_code=202,
        request_max_body_size=max_body,
    )
    async def send(request: Asked) -> Response[Any]:
        """Queue what is asked for."""
        key = ask(request, Scope.SEND)
        given = await bodies.read(request)
        header = request.headers.get(IDEMPOTENCY_KEY)
        if "messages" not in given:
            return Response(await sending.one(key, given, header), status_code=202)
        messages = _list(given)
        if header is not None:
            raise PushRefused(
                "Idempotency-Key: is for one message; give each an idempotency_key of its own"
            )
        return Response(await sending.many(key, messages), status_code=202)

    return send


def _list(given: dict[str, Any]) -> list[Any]:
    messages = given["messages"]
    if len(given) > 1:
        raise PushRefused("messages: nothing may stand beside it")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST:
        raise PushRefused(f"messages: give a list of 1 to {MOST:,}; of more, /push/batches")
    return messages


def _one_of_many(added: Added, states: dict[str, State]) -> OneOfMany:
    if added.is_same:
        return OneOfMany(id=added.id, state=states[added.id], is_new=added.is_new)
    return OneOfMany(id=added.id, errors=errors_of(KeyReused(added.id)))


def _unquoted(header: str) -> str:
    """Return an Idempotency-Key: a string in quotes, as the IETF's draft has it, or a bare one."""
    is_quoted = len(header) > 1 and header.startswith('"') and header.endswith('"')
    return header[1:-1] if is_quoted else header
