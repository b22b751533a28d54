"""What every route of the API does first: who asks, and what was sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, InternalServerException

from gateway.errors import PushRefused
from gateway.http.api.keys import ApiKey, Keys, Scope
from gateway.http.api.problems import Problem, Unheard
from gateway.http.arrivals import trace_known
from gateway.http.patience import Patience

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive; but a batch's."""

LEFT_BYTES: Final = 1 << 26
LEFT_SECONDS: Final = 10.0
"""How much of a body that is refused is read all the same, and for how long."""

Asked = Request[Any, Any, Any]
Ask = Callable[[Asked, Scope], ApiKey]
"""Returns the key of who asks, which has the scope; raises Unauthorized or Forbidden."""


def asker(keys: Keys) -> Ask:
    """Return what tells who asks."""

    def ask(request: Asked, scope: Scope) -> ApiKey:
        key = keys.holder(request.headers.get("authorization"))
        trace_known()
        key.demand(scope)
        return key

    return ask


@asynccontextmanager
async def heard(request: Asked) -> AsyncIterator[None]:
    """Let whoever sends hear of a refusal that is raised before the body was read.

    Most clients send all of it before they listen; where the connection is closed on them, what
    they hear of is that. So some of the rest is read, and passed over.
    """
    rest = _Rest(request)
    try:
        yield
    except (Unheard, InternalServerException):
        raise
    except (PushRefused, Problem, HTTPException):
        with suppress(TimeoutError):
            async with asyncio.timeout(LEFT_SECONDS):
                await rest.pass_over()
        raise


class _Rest:
    """What comes of a body yet: behind its end there is nothing, however long one waits."""

    def __init__(self, request: Asked) -> None:
        self._receive = request.receive
        self._there_is_more = True
        request.receive = self._next

    async def _next(self) -> Any:
        event = await self._receive()
        self._there_is_more = event["type"] == "http.request" and event.get("more_body", False)
        return event

    async def pass_over(self) -> None:
        """Read it."""
        left = LEFT_BYTES
        while self._there_is_more and left > 0:
            event = await self._next()
            left -= len(event.get("body", b""))


class Bodies:
    """Reads bodies of JSON objects."""

    def __init__(self) -> None:
        self._patience = Patience(BODY_SECONDS)

    async def read(self, request: Asked) -> dict[str, Any]:
        """Return the object; raise PushRefused where it is none, and TooSlow."""
        try:
            async with heard(request):
                body = await self._patience.wait(request.body())
        except InternalServerException:
            # Litestar's word for a client that went away: nobody is there to be told.
            raise Unheard(400, "the body is not whole") from None
        return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.ValidationError as wrong:
        raise PushRefused(f"the body is no JSON object: {wrong}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Problem(400, f"the body is not JSON in UTF-8: {wrong}") from None
