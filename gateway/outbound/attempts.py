"""One attempt to send a job, and what becomes of the job behind it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from gateway.errors import ApiError, StoreDown, Unanswered, place_of
from gateway.outbound.api import Retries
from gateway.outbound.counted import UNANSWERED, code_of
from gateway.outbound.gates import Gates, Route
from gateway.outbound.jobs import (
    KEEPS_APART,
    Attempt,
    Held,
    Lane,
    Settled,
    State,
    recipient,
)
from gateway.outbound.policy import Decision, Terms, Tried, Verdict, before_sending, next_step
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.subject import SUBJECT
from gateway.telemetry.tap import TAP, Happening
from gateway.telemetry.tracing import CONSUMER, origin_of, span

_log = get_logger("gateway.outbound")

_ONCE: Final = Retries(tries=1)
_GOES_ON: Final = (Verdict.RETRY, Verdict.DEFER)
_KEPT: Final = 50
"""Attempts that are kept of a job, the last ones: those that wait for a quota do not count."""


class Sender(Protocol):
    """Posts to WeChat's API for one account: a WeChatApi."""

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        repeatable: bool = False,
        retries: Retries | None = None,
    ) -> dict[str, Any]:
        """Call an endpoint with a body that is JSON already; raise ApiError."""


class Attempts:
    """Sends jobs, and says what becomes of each."""

    def __init__(
        self,
        senders: Mapping[str, Sender],
        gates: Gates,
        terms: Terms,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        """``senders`` by account; ``clock`` gives Unix seconds, ``draw`` numbers in [0, 1)."""
        self._metrics = metrics or Metrics()
        self._senders = senders
        self._gates = gates
        self._terms = terms
        self._clock = clock
        self._draw = draw

    async def send(self, held: Held) -> Settled:
        """Send a job, unless it is too late for that; return what becomes of it."""
        SUBJECT.set(held)
        attributes = {
            "messaging.destination.name": "push",
            "messaging.operation.name": "process",
            "gateway.job.id": held.id,
            "gateway.channel": held.channel.value,
            "gateway.account": held.account,
            "gateway.attempt": held.tries + 1,
        }
        with span("process push", CONSUMER, attributes, origin=origin_of(held.trace)) as made:
            settled, error = await self._send(held)
            made.set_attribute("gateway.outcome", str(settled.attempts[-1].outcome))
        self._count(held, settled, error)
        if TAP.is_open:
            TAP.tell(_happening(held, settled.attempts[-1]))
        return settled

    def _count(self, held: Held, settled: Settled, error: ApiError | None) -> None:
        account, channel = held.account, held.channel.value
        outcome = settled.attempts[-1].outcome
        code = UNANSWERED if error is None and outcome != State.SENT else code_of(error)
        self._metrics.push_attempts.add((account, channel, str(outcome), code))
        if settled.state is State.SENT:
            late = max(0.0, settled.at - max(held.created_at, held.not_before))
            self._metrics.push_lateness.observe((account, channel), late)

    async def _send(self, held: Held) -> tuple[Settled, ApiError | None]:
        """Return what becomes of a job, and what went wrong."""
        began = self._clock()
        if (held.expires_at or held.maybe_sent_at) is not None:
            decision = before_sending(_tried(held), began)
            if decision is not None:
                self._gates.skipped(Route(held.account, held.channel))
                return self._decided(held, decision, began), None
        try:
            answer = await self._senders[held.account].post(held.path, held.body, retries=_ONCE)
        except ApiError as error:
            return await self._failed(held, error, began), error
        except asyncio.CancelledError:
            # This process stops, and cannot wait for the answer.
            return self.interrupted(held, began), None
        except Exception as error:
            _log.error(
                "push attempt failed",
                account=held.account,
                job_id=held.id,
                error=type(error).__name__,
                at=place_of(error),
            )
            decision = Decision(Verdict.AMBIGUOUS, 0.0, f"bug: {type(error).__name__}")
            return self._decided(held, decision, began), None
        self._gates.answered(Route(held.account, held.channel))
        return self._sent(held, answer, began), None

    def interrupted(self, held: Held, began: float) -> Settled:
        """Return what becomes of a job whose attempt ended with the process that made it."""
        error = Unanswered("interrupted")
        tried = _tried(held, error, began)
        decision = next_step(error, tried, self._terms, self._clock(), self._draw())
        decision = decision._replace(reason="interrupted: its worker stopped or died")
        return self._decided(held, decision, began, tried)

    async def _failed(self, held: Held, error: ApiError, began: float) -> Settled:
        route = Route(held.account, held.channel)
        self._gates.answered(route, error)
        tried = _tried(held, error, began)
        decision = next_step(error, tried, self._terms, self._clock(), self._draw())
        if decision.whole_account:
            try:
                await self._gates.pause(route, decision.at)
            except StoreDown as down:
                _log.warning("push is not paused", route=route.name, error=str(down))
        return self._decided(held, decision, began, tried)

    def _sent(self, held: Held, answer: Mapping[str, Any], began: float) -> Settled:
        number = answer.get("msgid", answer.get("msg_id"))
        attempt = Attempt(began, self._clock() - began, State.SENT)
        return Settled(
            held.id,
            State.SENT,
            self._clock(),
            "",
            held.tries + 1,
            held.maybe_sent_at,
            (*held.attempts[1 - _KEPT :], attempt),
            message_id=None if number is None else str(number),
        )

    def _decided(
        self, held: Held, decision: Decision, began: float, tried: Tried | None = None
    ) -> Settled:
        now = self._clock()
        goes_on = decision.verdict in _GOES_ON
        attempt = Attempt(began, now - began, decision.verdict, decision.reason)
        if decision.verdict in (Verdict.DEAD, Verdict.AMBIGUOUS):
            _log.warning(
                "push job is a dead letter",
                account=held.account,
                job_id=held.id,
                reason=decision.reason,
            )
        return Settled(
            held.id,
            State.QUEUED if goes_on else State(decision.verdict),
            now,
            decision.reason,
            held.tries + (decision.verdict is not Verdict.DEFER and tried is not None),
            held.maybe_sent_at if tried is None else tried.maybe_sent_at,
            (*held.attempts[1 - _KEPT :], attempt),
            due=decision.at,
            # Whoever waited for a quota was not tried, and waits with those that were not.
            lane=held.lane if decision.verdict is Verdict.DEFER else Lane.RETRY,
        )


def _happening(held: Held, attempt: Attempt) -> Happening:
    channel, outcome = held.channel.value, str(attempt.outcome)
    user, took, reason = recipient(held.body), attempt.seconds, attempt.reason
    return Happening("attempt", held.account, channel, user, held.id, outcome, took, reason)


def _tried(held: Held, error: ApiError | None = None, began: float = 0.0) -> Tried:
    maybe = held.maybe_sent_at
    if maybe is None and isinstance(error, Unanswered):
        maybe = began
    apart = KEEPS_APART.get(held.channel, 0.0)
    return Tried(held.tries + 1, maybe, held.created_at, held.expires_at, apart)
