"""What WeChat's refusals of a sign-in mean for who tried, code by code (PROTOCOL 7.5, 8)."""

import pytest

from gateway.errors import ApiError, Limited, NotSent, Unanswered
from gateway.identity.failures import SignInFailed, SignInProblem, problem_of
from gateway.outbound.failures import rejection


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (40029, SignInProblem.CODE),
        (40163, SignInProblem.CODE),
        (41008, SignInProblem.CODE),
        (42003, SignInProblem.CODE),
        (-1, SignInProblem.BUSY),
        (45009, SignInProblem.BUSY),
        (45011, SignInProblem.BUSY),
        # Without a token of ours it is the secret that is wrong.
        (40001, SignInProblem.SETUP),
        (40125, SignInProblem.SETUP),
        (40013, SignInProblem.SETUP),
        (40164, SignInProblem.SETUP),
        (48001, SignInProblem.SETUP),
        (99999, SignInProblem.SETUP),
        (40226, SignInProblem.BLOCKED),
        (42002, SignInProblem.BLOCKED),
    ],
)
def test_each_refusal_is_somebodys_to_mend(code: int, problem: SignInProblem) -> None:
    assert problem_of(rejection("/sns/oauth2/access_token", code, "said")) is problem


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (NotSent("/sns: no connection"), SignInProblem.BUSY),
        (Limited("/sns: a limit"), SignInProblem.BUSY),
        # The code may have been used.
        (Unanswered("/sns: no answer"), SignInProblem.CODE),
    ],
)
def test_what_did_not_arrive_can_be_tried_again(error: ApiError, problem: SignInProblem) -> None:
    assert problem_of(error) is problem


def test_a_failure_says_what_is_wrong_and_nothing_of_the_user() -> None:
    assert str(SignInFailed(SignInProblem.SCOPE, "scope: give one")) == "scope: give one"
    assert str(SignInFailed(SignInProblem.STATE)) == "state"
