"""Replies that come too late for a callback: handed over to be pushed by customer service."""

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

import msgspec

from gateway.errors import PushRefused
from gateway.inbound.consumer import Settlement
from gateway.inbound.ports import Taken
from gateway.inbound.stored import ORIGIN
from gateway.outbound.jobs import Added, Job
from gateway.outbound.requests import PushRequest

ANSWER_SECONDS: Final = 48 * 3600.0
"""How long after a user wrote customer service may answer (PROTOCOL 7.3)."""

_decoder = msgspec.json.Decoder(dict[str, Any])


class Pushes(Protocol):
    """Queues what is to be pushed: a Push."""

    def make(self, request: PushRequest) -> Job:
        """Return the job of a request; raise PushRefused."""

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs."""


class LateReplies:
    """Makes jobs of late replies, each once."""

    def __init__(self, push: Pushes) -> None:
        self._push = push

    async def hand_over(self, taken: Sequence[Taken], settlement: Settlement) -> None:
        """Queue these entries' replies; bury what cannot be queued."""
        made: list[tuple[Taken, Job]] = []
        for one, body in await settlement.readable(taken, _decoder.decode, "unreadable"):
            try:
                origin = str(body.pop(ORIGIN, ""))
                job = self._push.make(_request(one, body))
                made.append((one, job._replace(trace=origin)))
            except PushRefused as refused:
                await settlement.bury(one, f"refused: {refused.args[0]}")
        # A reply that was handed over and not taken out of its lane is one job all the same.
        await self._push.store([job for _, job in made])
        await asyncio.gather(*(settlement.done(one) for one, _ in made))


def _request(taken: Taken, body: dict[str, Any]) -> PushRequest:
    """Return the request of a reply, known by its place in the lane."""
    place = f"{taken.id}\0{taken.stored_at!r}\0".encode() + taken.entry.body
    return PushRequest(
        account=taken.entry.account,
        to=body.pop("touser", ""),
        custom=body,
        idempotency_key=f"late-reply:{blake2b(place, digest_size=16).hexdigest()}",
        priority="high",
        expires_at=taken.stored_at + ANSWER_SECONDS,
    )
