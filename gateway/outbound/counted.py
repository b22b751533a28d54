"""What is counted of calls and attempts: by endpoint, outcome and error code, all bounded."""

from typing import Final

from gateway.errors import ApiError, NotSent, Rejected, TokenRejected
from gateway.protocol.errcodes import errcode
from gateway.telemetry.metrics import OTHER, Metrics

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
