"""What is counted of calls and attempts: by endpoint, outcome and error code, all bounded."""

from collections.abc import Awaitable
from typing import Final, TypeVar

from gateway.errors import ApiError, NotSent, Rejected, TokenRejected
from gateway.outbound.tokens import Fetched, Source
from gateway.protocol.errcodes import errcode
from gateway.telemetry.metrics import OTHER, Metrics

_T = TypeVar("_T")

MAX_ENDPOINTS: Final = 100
"""Endpoints of an account that are told apart: a bot may call what it likes."""

UNANSWERED: Final = "-"
"""The error code of what was not answered."""


def code_of(error: ApiError | None) -> str:
    """Return an error's code, as a label."""
    if error is None:
        return "0"
    if not isinstance(error, Rejected):
        return UNANSWERED
    return OTHER if errcode(error.code) is None else str(error.code)


def _outcome(error: ApiError | None) -> str:
    match error:
        case None:
            return "ok"
        case TokenRejected():
            return "token"
        case Rejected():
            return "rejected"
        case NotSent():
            return "not_sent"
    return "unanswered"


class CountedSource:
    """A source of tokens whose fetches are counted."""

    def __init__(self, source: Source, metrics: Metrics, account: str) -> None:
        self.shared = source.shared
        self.early = source.early
        self._source = source
        self._metrics = metrics
        self._account = account

    async def fetch(self) -> Fetched:
        """Return the token that holds; raise ApiError."""
        return await self._counted(self._source.fetch())

    async def force(self) -> Fetched | None:
        """Return a new token; None where it cannot be had."""
        return await self._counted(self._source.force())

    async def _counted(self, awaited: Awaitable[_T]) -> _T:
        try:
            fetched = await awaited
        except ApiError:
            self._metrics.token_refreshes.add((self._account, "failed"))
            raise
        self._metrics.token_refreshes.add((self._account, "ok"))
        return fetched


class Calls:
    """Counts the calls of one account."""

    def __init__(self, metrics: Metrics, account: str) -> None:
        self._metrics = metrics
        self._account = account
        self._endpoints: set[str] = set()

    def ended(self, path: str, seconds: float, error: ApiError | None = None) -> None:
        """Count a call that ended so, after so many seconds."""
        endpoint = self._endpoint(path)
        self._metrics.api_calls.observe((self._account, endpoint, _outcome(error)), seconds)
        if isinstance(error, Rejected):
            self._metrics.api_errors.add((self._account, endpoint, code_of(error)))

    def _endpoint(self, path: str) -> str:
        if path not in self._endpoints:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                return OTHER
            self._endpoints.add(path)
        return path
