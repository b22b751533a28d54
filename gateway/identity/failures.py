"""Why a sign-in came to nothing, and what that means for who tried."""

from enum import StrEnum
from typing import Final

from gateway.errors import (
    AccountRejected,
    ApiError,
    Busy,
    GatewayError,
    Limited,
    NotSent,
    Rejected,
    Throttled,
    TokenRejected,
    Unanswered,
    UserRejected,
)

_CODES: Final = frozenset((40029, 40163, 41008, 42003))
"""The code is wrong, was used, is missing, is too old (PROTOCOL 7.5, 8)."""


class SignInProblem(StrEnum):
    """What went wrong."""

    REDIRECT = "redirect"
    """It would lead to where it may not."""
    SCOPE = "scope"
    """There is no such scope."""
    STATE = "state"
    """Nothing was begun in this browser that could end so, or it ended already."""
    REFUSED = "refused"
    """The user did not agree."""
    CODE = "code"
    """WeChat does not take the code, or not again: to be begun anew."""
    BUSY = "busy"
    """WeChat, or a store, does not answer now; nothing was done."""
    BLOCKED = "blocked"
    """WeChat does not let this user sign in."""
    SNAPSHOT = "snapshot"
    """A preview's virtual user (PROTOCOL 7.5), who is nobody."""
    SETUP = "setup"
    """An operator has to mend something."""


class SignInFailed(GatewayError):
    """A sign-in came to nothing."""

    def __init__(self, problem: SignInProblem, said: str = "") -> None:
        """``said`` is for whoever made the request: nothing of the user's."""
        super().__init__(problem, said)
        self.problem = problem
        self.said = said

    def __str__(self) -> str:
        return self.said or self.problem


def problem_of(error: ApiError) -> SignInProblem:
    """Return what an error of the exchange means."""
    if isinstance(error, Rejected) and error.code in _CODES:
        return SignInProblem.CODE
    if isinstance(error, Unanswered):
        # The code may have been used: another try would be told so (40163).
        return SignInProblem.CODE
    if isinstance(error, NotSent | Busy | Throttled | Limited):
        return SignInProblem.BUSY
    if isinstance(error, TokenRejected | AccountRejected):
        # No token was sent: 40001 is a wrong secret here (PROTOCOL 8).
        return SignInProblem.SETUP
    return SignInProblem.BLOCKED if isinstance(error, UserRejected) else SignInProblem.SETUP
