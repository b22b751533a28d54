"""POST /push/batches: messages without number, a line each, queued while they come in."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Response, post
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from gateway.errors import PushRefused, StoreDown
from gateway.http.api.asking import Ask, Asked, heard
from gateway.http.api.filters import BatchName, read_query
from gateway.http.api.keys import Scope
from gateway.http.api.messages import KeyedPush
from gateway.http.api.problems import Problem, Unheard, errors_of, store_down
from gateway.http.api.views import BatchTaken, RefusedLine
from gateway.http.patience import Patience, TooSlow
from gateway.outbound.batches import Form, Progress, Pushes, Refusal, take_batch
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.push")

IDLE_SECONDS: Final = 60.0
"""How long nothing of a batch may come."""

MOST_TOLD: Final = 1000
"""Refused lines that are told of."""

FORMS: Final = {"application/x-ndjson": Form.NDJSON, "text/csv": Form.CSV}


class BatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is said of a whole batch."""

    name: BatchName
    template: Annotated[str, Meta(description="of lines that name none")] = ""
    account: Annotated[str, Meta(description="of lines that name none")] = ""


class ClientGone(Exception):
    """Nobody sends any more, and nobody is there to be answered."""


class Tally:
    """Adds up what became of a batch's lines."""

    def __init__(self, batch: str, key: str) -> None:
        """``key`` is the name of the key that sends it."""
        self.batch = batch
        self._key = key
        self._queued = self._known = self._refused = 0
        self._lines: list[RefusedLine] = []

    def add(self, progress: Progress) -> None:
        """Add what was stored and refused since the last time."""
        self._queued += progress.queued
        self._known += progress.known
        self._refused += len(progress.refused)
        room = MOST_TOLD - len(self._lines)
        self._lines += [_refused_line(one) for one in progress.refused[:room]]

    def taken(self) -> BatchTaken:
        """Return all of it."""
        return BatchTaken(
            self.batch,
            self._queued,
            self._known,
            self._refused,
            tuple(self._lines),
            self._refused - len(self._lines),
        )

    def counts(self) -> dict[str, Any]:
        """Return the numbers alone."""
        return {"queued": self._queued, "known": self._known, "refused": self._refused}

    def fields(self) -> dict[str, Any]:
        """Return what a log line says of it."""
        return {"batch": self.batch, "key": self._key, **self.counts()}


def batch_route(ask: Ask, push: Pushes) -> HTTPRouteHandler:
    """Return the route."""
    patience = Patience(IDLE_SECONDS)

    @post("/batches", media_type=MediaType.JSON, status_code=202, request_max_body_size=None)
    async def take(request: Asked) -> Response[BatchTaken]:
        """Queue the lines of the body as they come."""
        key = ask(request, Scope.SEND)
        async with heard(request):
            query = read_query(request.query_params.multi_items(), BatchQuery)
            tally = Tally(query.name, key.name)
            lines = take_batch(
                KeyedPush(push, key),
                query.name,
                _form(request),
                {"template": query.template, "account": query.account},
                _chunks(request, patience),
                # Without a length, an upload that breaks off ends like a whole one (Granian).
                may_break_off=request.content_length is None,
            )
            await _add_up(lines, tally)
        return Response(tally.taken(), status_code=202)

    return take


async def _add_up(lines: AsyncGenerator[Progress], tally: Tally) -> None:
    """Take a batch to its end; raise Problem where it breaks off, and HeaderWrong."""
    try:
        async with aclosing(lines):
            async for progress in lines:
                tally.add(progress)
    except (ClientGone, TooSlow, StoreDown) as broke:
        _log.warning("batch broke off", **tally.fields(), reason=_WHY[type(broke)])
        raise _broken_off(broke, tally) from None
    _log.info("batch taken", **tally.fields())


_WHY: Final = {
    ClientGone: "its client went away",
    TooSlow: f"nothing came for {IDLE_SECONDS:g} s",
    StoreDown: "the store went down",
}


def _broken_off(broke: Exception, tally: Tally) -> Problem:
    """Return what is told of a batch that was not taken to its end."""
    said = f"{_WHY[type(broke)]}; send the same batch again, nothing is queued twice"
    if isinstance(broke, StoreDown):
        return store_down(broke, said, **tally.counts())
    return Unheard(408 if isinstance(broke, TooSlow) else 400, said, **tally.counts())


def _form(request: Asked) -> Form:
    """Return how the body is written, by its Content-Type."""
    content_type, options = request.content_type
    form = FORMS.get(content_type)
    if form is None:
        raise Problem(415, f"Content-Type: give one of: {', '.join(FORMS)}")
    if options.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise Problem(415, "Content-Type: the charset must be utf-8; save the file as UTF-8")
    return form


async def _chunks(request: Asked, patience: Patience) -> AsyncGenerator[bytes]:
    """Yield the body as it comes; raise ClientGone and TooSlow."""
    stream = request.stream()
    while True:
        try:
            chunk = await patience.wait(anext(stream, b""))
        except InternalServerException:
            # Litestar's word for a client that went away.
            raise ClientGone from None
        if not chunk:
            return
        yield chunk


def _refused_line(refused: Refusal) -> RefusedLine:
    return RefusedLine(refused.line, errors_of(PushRefused(*refused.errors)))
