"""What every route of the API does first: who asks, and what was sent."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

from gateway.errors import PushRefused
from gateway.http.api.keys import ApiKey, Keys, Scope
from gateway.http.api.problems import Problem
from gateway.http.patience import Patience

BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive; but a batch's."""

Asked = Request[Any, Any, Any]
Ask = Callable[[Asked, Scope], ApiKey]
"""Returns the key of who asks, which has the scope; raises Unauthorized or Forbidden."""


def asker(keys: Keys) -> Ask:
    """Return what tells who asks."""

    def ask(request: Asked, scope: Scope) -> ApiKey:
        key = keys.holder(request.headers.get("authorization"))
        key.demand(scope)
        return key

    return ask


class Bodies:
    """Reads bodies of JSON objects."""

    def __init__(self) -> None:
        self._patience = Patience(BODY_SECONDS)

    async def read(self, request: Asked) -> dict[str, Any]:
        """Return the object; raise PushRefused where it is none, and TooSlow."""
        try:
            body = await self._patience.wait(request.body())
        except InternalServerException:
            # Litestar's word for a client that went away: nobody is there to be told.
            raise Problem(400, "the body is not whole") from None
        return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.ValidationError as wrong:
        raise PushRefused(f"the body is no JSON object: {wrong}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Problem(400, f"the body is not JSON in UTF-8: {wrong}") from None
