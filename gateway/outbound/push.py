"""Pushing, as a handler, an API or a command does it: a message is queued, durably, or refused."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack

from gateway.errors import KeyReused
from gateway.outbound.jobs import Added, Job
from gateway.outbound.ports import JobQueue
from gateway.outbound.requests import JobMaker, MassTo, PushRequest
from gateway.outbound.templates import LANGUAGE
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tap import TAP, Happening
from gateway.telemetry.tracing import PRODUCER, span, written

STORED_AT_ONCE: Final = 1000

# https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
_QUEUE: Final = {"messaging.destination.name": "push", "messaging.operation.name": "send"}


class Options(TypedDict, total=False):
    """What may be said of any message."""

    idempotency_key: str | None
    """Of two messages of an account with the same key the first alone is queued."""
    priority: Literal["high", "normal", "low"]
    not_before: float | None
    """Unix seconds."""
    expires_at: float | None
    """Unix seconds; what is not sent by then is not sent any more."""


class Gathering:
    """Stores jobs; those that come while some are being stored go together with the next batch."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._waiting: list[tuple[Sequence[Job], asyncio.Future[list[Added]]]] = []
        self._storing: asyncio.Task[None] | None = None

    async def add(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, all or none; raise StoreDown."""
        done: asyncio.Future[list[Added]] = asyncio.get_running_loop().create_future()
        self._waiting.append((jobs, done))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store())
        return await done

    async def _store(self) -> None:
        while self._waiting:
            batch = [self._waiting.pop(0)]
            size = len(batch[0][0])
            while self._waiting and size + len(self._waiting[0][0]) <= STORED_AT_ONCE:
                batch.append(self._waiting.pop(0))
                size += len(batch[-1][0])
            try:
                added = await self._queue.add([job for jobs, _ in batch for job in jobs])
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            _hand_out(batch, added)


class Push:
    """Queues messages to users."""

    def __init__(
        self,
        maker: JobMaker,
        queue: JobQueue,
        *,
        on_stored: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        """``on_stored`` is called when something is there to be sent."""
        self._metrics = metrics or Metrics()
        self._maker = maker
        self._gathering = Gathering(queue)
        self._on_stored = on_stored

    async def template(
        self,
        account: str,
        to: str,
        template: str,
        data: Mapping[str, Any],
        *,
        language: str = LANGUAGE,
        **options: Unpack[Options],
    ) -> str:
        """Queue a template's message to a user; return its id, which its state is asked by.

        The template says whether it is a template message, a subscription notice or a mini
        program's. Raises PushRefused where something is wrong with it, KeyReused where another
        message has the key, and StoreDown where it cannot be stored.
        """
        asked = PushRequest(
            account=account,
            to=to,
            template=template,
            data=dict(data),
            language=language,
            **options,
        )
        return await self.request(asked)

    async def custom(
        self, account: str, to: str, message: Mapping[str, Any], **options: Unpack[Options]
    ) -> str:
        """Queue a customer-service message: ``{"msgtype": "text", "text": {"content": "…"}}``.

        As ``template`` else. WeChat takes some for 48 hours after the user wrote (PROTOCOL 7.3).
        """
        asked = PushRequest(account=account, to=to, custom=dict(message), **options)
        return await self.request(asked)

    async def mass(
        self, account: str, message: Mapping[str, Any], to: MassTo, **options: Unpack[Options]
    ) -> str:
        """Queue one message to many: ``{"msgtype": "mpnews", "mpnews": {"media_id": "…"}}``."""
        asked = PushRequest(account=account, mass=dict(message), mass_to=to, **options)
        return await self.request(asked)

    async def request(self, request: PushRequest) -> str:
        """Queue what is asked for; return its id; raise as ``template`` does."""
        (added,) = await self.store([self._maker.make(request)])
        if not added.is_same:
            raise KeyReused(added.id)
        return added.id

    def make(self, request: PushRequest, *, batch: str | None = None) -> Job:
        """Return the job of a request, not stored; raise PushRefused."""
        return self._maker.make(request, batch=batch)

    async def store(self, jobs: Sequence[Job]) -> list[Added]:
        """Store jobs, up to 1,000, all or none; raise StoreDown.

        In a trace that is sampled they come from a span of their own, whatever they were made in.
        """
        with span("send push", PRODUCER, _QUEUE) as made:
            if origin := written(made):
                made.set_attribute("messaging.batch.message_count", len(jobs))
                jobs = [job._replace(trace=origin) for job in jobs]
            with self._metrics.store_call("add"):
                added = await self._gathering.add(jobs)
        for job, one in zip(jobs, added, strict=True):
            if one.is_new:
                self._metrics.push_queued.add((job.account, job.channel.value))
                if TAP.is_open:
                    named = job.template or job.channel.value
                    TAP.tell(Happening("queued", job.account, named, job.open_id, job.id))
        self._on_stored()
        return added


def _hand_out(
    batch: Sequence[tuple[Sequence[Job], asyncio.Future[list[Added]]]], added: list[Added]
) -> None:
    """Give each who waits what came of its jobs."""
    start = 0
    for jobs, done in batch:
        end = start + len(jobs)
        if not done.done():
            done.set_result(added[start:end])
        start = end
