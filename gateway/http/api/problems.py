"""What is wrong with a request, as problem documents (RFC 9457) tell it."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from gateway.errors import KeyReused, PushRefused, StoreDown, place_of
from gateway.http.api.keys import Forbidden, Unauthorized
from gateway.http.patience import TooSlow
from gateway.telemetry.logs import get_logger

_log = get_logger("gateway.push")

MEDIA_TYPE: Final = "application/problem+json"

RETRY_AFTER: Final = {"retry-after": "5"}

_TOO_LARGE: Final = "more than is taken at once; send fewer messages, or a batch"

_FIELD: Final = re.compile(r"[A-Za-z_-]+(\.[A-Za-z0-9_]+)*")
_TEMPLATE_FIELD: Final = re.compile(r"template [^:]+: ([A-Za-z0-9_.]+): (.*)", re.DOTALL)
# As msgspec writes them.
_PATH: Final = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_NAMED: Final = re.compile(
    r"Object (?:contains unknown|missing required) field `(.*?)`(?: - at `\$\.?(.*)`)?", re.DOTALL
)


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with a field."""

    detail: str
    field: str = ""
    """Its path, such as ``to`` or ``data.thing1``; not there where it is no one field's fault."""


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True, rename={"type_": "type"}):
    """Why a request failed (RFC 9457). There may be more in it."""

    title: str
    """What the status is called."""
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    """What to mend, field by field."""
    type_: str = "about:blank"
    id: str = ""
    """With 409: the message that is in the way."""


class Problem(Exception):
    """A request that fails for a reason of its own."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        """``more`` are further members of the document."""
        super().__init__(status)
        self.response = problem(status, detail=detail, **more)
        self.response.headers.update(headers or {})


class Unheard(Problem):
    """A problem that nobody waits to be told of."""


def problem(status: int, **members: Any) -> Response[dict[str, Any]]:
    """Return the response that tells a problem."""
    document = {"title": HTTPStatus(status).phrase, "status": status, **members}
    return Response(document, status_code=status, media_type=MEDIA_TYPE)


def problem_example(status: int, detail: str) -> dict[str, Any]:
    """Return a problem's document, for those who describe it."""
    return {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def errors_of(refused: PushRefused) -> tuple[FieldError, ...]:
    """Return what a refusal says, field by field."""
    return tuple(error_of(str(line)) for line in refused.args)


def error_of(line: str) -> FieldError:
    """Return what a line of a refusal says, and which field it is about."""
    if found := _TEMPLATE_FIELD.fullmatch(line):
        return FieldError(found[2], f"data.{found[1]}")
    if found := _NAMED.fullmatch(line):
        known = "unknown" if line.startswith("Object contains") else "missing"
        return FieldError(known, ".".join(filter(None, (found[2], found[1]))))
    if found := _PATH.fullmatch(line):
        # Of some lists it does not say where in them.
        return FieldError(found[1], found[2].removesuffix("[...]"))
    field, _, detail = line.partition(": ")
    if detail and _FIELD.fullmatch(field):
        return FieldError(detail, field)
    return FieldError(line)


def _unauthorized(_request: Request[Any, Any, Any], _error: Exception) -> Response[Any]:
    """Tell the same to all who are not known, whatever is wrong."""
    response = problem(401)
    response.headers["www-authenticate"] = "Bearer"
    return response


def _forbidden(_request: Request[Any, Any, Any], error: Forbidden) -> Response[Any]:
    return problem(403, errors=errors_of(error))


def _key_reused(_request: Request[Any, Any, Any], error: KeyReused) -> Response[Any]:
    return problem(409, errors=errors_of(error), id=error.id)


def _refused(_request: Request[Any, Any, Any], error: PushRefused) -> Response[Any]:
    return problem(422, errors=errors_of(error))


def store_down(
    error: StoreDown, detail: str = "the store is down at the moment; send it again", **more: Any
) -> Problem:
    """Log that the store is down, and return the problem of who needed it."""
    _log.error("push api without its store", error=str(error))
    return Problem(503, detail, RETRY_AFTER, **more)


def _store_down(_request: Request[Any, Any, Any], error: StoreDown) -> Response[Any]:
    return store_down(error).response


def _too_slow(_request: Request[Any, Any, Any], _error: TooSlow) -> Response[Any]:
    return problem(408, detail="the body did not arrive in time")


def _raised(_request: Request[Any, Any, Any], error: Problem) -> Response[Any]:
    return error.response


def _of_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Tell what the framework refuses: a body that is too large, a request that is no HTTP."""
    told = (
        {"detail": _TOO_LARGE} if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else {}
    )
    return problem(error.status_code, **told)


def _unforeseen(_request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("push api failed", error=type(error).__name__, at=place_of(error))
    return problem(500)


HANDLERS: Final[dict[int | type[Exception], Any]] = {
    Unauthorized: _unauthorized,
    Forbidden: _forbidden,
    KeyReused: _key_reused,
    PushRefused: _refused,
    StoreDown: _store_down,
    TooSlow: _too_slow,
    Problem: _raised,
    HTTPException: _of_http,
    Exception: _unforeseen,
}
"""Who tells what of which error."""
