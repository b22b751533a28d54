"""The sending side of one process: what is pushed, and who sends it."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from gateway.app.api import Apis
from gateway.app.stores import MEMORY, make_job_queue, make_job_records, make_template_store
from gateway.app.templates import load_templates
from gateway.outbound.attempts import Attempts
from gateway.outbound.budgets import Rate
from gateway.outbound.dispatcher import Dispatcher, Pool
from gateway.outbound.gates import Gates, Route
from gateway.outbound.jobs import Channel
from gateway.outbound.policy import DAY, Terms
from gateway.outbound.pruning import prune_for_ever
from gateway.outbound.push import Push
from gateway.outbound.registry import Templates
from gateway.outbound.requests import JobMaker
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics


_CHANNELS: Final = frozenset(map(str, Channel))

STOP_SECONDS: Final = 8.0
"""How long a stop waits for WeChat's answers; what is not answered then may have been sent."""


def pushing_accounts(settings: Settings) -> list[str]:
    """Return the accounts that can push; none where what is pushed could not be kept."""
    if settings.store.url == MEMORY and settings.store.postgres_dsn is None:
        return []
    return [name for name, one in settings.accounts.items() if one.app_secret is not None]


class Outbound:
    """The queue, what stores into it, and the worker pool that empties it."""

    def __init__(
        self, settings: Settings, apis: Apis, name: bytes, concurrency: int, metrics: Metrics
    ) -> None:
        """``name`` tells this process from all others; with a concurrency of 0 nothing is sent.

        Raises SettingsError and TemplateWrong.
        """
        accounts = pushing_accounts(settings)
        self.queue = make_job_queue(settings)
        self.records = make_job_records(settings)
        self._template_store = make_template_store(settings)
        self.templates = Templates(load_templates(settings), self._template_store)
        maker = JobMaker(accounts, self.templates, clock=time.time)
        self.push = Push(maker, self.queue, on_stored=self._wake, metrics=metrics)
        self._gates = Gates(apis.budgets, _rates(settings), clock=time.time, draw=random.random)
        self._keep = settings.push.keep_days * DAY
        self._keeping: list[asyncio.Task[None]] = []
        self._dispatcher: Dispatcher | None = None
        if concurrency and accounts:
            self._dispatcher = Dispatcher(
                self.queue,
                Attempts(
                    {account: apis.of(account).api for account in accounts},
                    self._gates,
                    _terms(settings),
                    clock=time.time,
                    draw=random.random,
                    metrics=metrics,
                ),
                self._gates,
                [Route(account, channel) for account in accounts for channel in Channel],
                Pool(concurrency, lease=settings.push.lease, worker=name.hex()),
                clock=time.time,
                metrics=metrics,
            )

    @property
    def standing_still(self) -> Sequence[str]:
        """What ended though it should go on for ever."""
        return () if self._dispatcher is None else self._dispatcher.standing_still

    async def start(self) -> None:
        """Begin to send, and to forget what is old."""
        self._keeping = [
            asyncio.create_task(prune_for_ever(self.records, self._keep, time.time)),
            asyncio.create_task(self.templates.refresh_for_ever()),
        ]
        if self._dispatcher is not None:
            await self._dispatcher.start()

    async def stop(self) -> None:
        """Send nothing more, finish what is under way, give back the rest."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
        if self._dispatcher is not None:
            await self._dispatcher.stop(STOP_SECONDS)

    async def close(self) -> None:
        """Let go of the stores."""
        await self._template_store.close()
        await self.records.close()
        await self.queue.close()

    def _wake(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake()


def _terms(settings: Settings) -> Terms:
    given = settings.push
    return Terms(given.max_attempts, given.retry_base, given.retry_cap, float(given.max_age))


def _rates(settings: Settings) -> dict[Route, Rate]:
    return {
        Route(name, Channel(channel)): Rate(rate.per_second, rate.burst)
        for name, account in settings.accounts.items()
        for channel, rate in account.rates.items()
        if channel in _CHANNELS
    }
