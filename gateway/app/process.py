"""What one process of the gateway does, put together: it receives, and it pushes."""

import asyncio
import os
from typing import Any, Final

from gateway import __version__
from gateway.app.accounts import make_accounts
from gateway.app.api import Apis
from gateway.app.counting import make_counting
from gateway.app.identity import Identities
from gateway.app.monitor import ProcessMonitor
from gateway.app.personal_data import PersonalData, make_learner
from gateway.app.push import Outbound, pushing_accounts
from gateway.app.sinks import make_sinks, make_upstreams
from gateway.app.stores import MEMORY, make_stores, store_kind
from gateway.app.watch import components
from gateway.errors import SettingsError
from gateway.http.monitoring import MonitoringServer
from gateway.identity.learning import Learner
from gateway.inbound.bot import Bot
from gateway.inbound.consumer import Policy
from gateway.inbound.deliveries import LateReply, Promise
from gateway.inbound.runtime import Inbound, Outside, Pushing, Sink, Terms
from gateway.kernels import IMPLEMENTATION
from gateway.settings import Settings
from gateway.settings.telemetry import split_listen
from gateway.telemetry.otlp import TelemetryWrong
from gateway.telemetry.otlp_metrics import make_metrics_export
from gateway.telemetry.otlp_traces import install, make_traces
from gateway.telemetry.tap import TAP
from gateway.telemetry.tap_socket import TapSocket
from gateway.telemetry.tracing import Tracing

_DAY: Final = 86_400.0


class Process:
    """Both sides of a process, started and stopped as one."""

    def __init__(self, settings: Settings, bot: Bot, *, concurrency: int, sends: int) -> None:
        """Handle so many background messages, and send so many pushed ones, at a time.

        Raises SettingsError where bot and store differ, and TemplateWrong.
        """
        name = os.urandom(8)
        counting = make_counting()
        metrics = counting.metrics
        self.metrics = metrics if settings.telemetry.metrics else None
        """None where nothing is to be counted for anybody."""
        try:
            self._traces = make_traces(os.environ, metrics, __version__)
            self._export = make_metrics_export(
                os.environ, self.metrics, __version__, counting.folder
            )
        except TelemetryWrong as wrong:
            raise SettingsError(str(wrong)) from None
        self.accounts = make_accounts(settings)
        self.apis = Apis(settings, metrics)
        self.outbound: Outbound | None = None
        """None where no account can push."""
        if pushing_accounts(settings):
            self.outbound = Outbound(settings, self.apis, name, sends, metrics)
        self.identities: Identities | None = None
        """None where the settings have no secret for it."""
        self._personal: PersonalData | None = None
        if settings.identity.secret is not None:
            self.identities = Identities(settings, self.apis)
            self._personal = PersonalData(settings, self.identities)
        push = None if self.outbound is None else self.outbound.push
        bot.attach(push, lambda account: self.apis.of(account).api)
        given = settings.inbound
        stores = make_stores(settings, name)
        self.inbound = Inbound(
            bot,
            self.accounts,
            stores,
            Terms(
                promise=Promise(given.reply_deadline, LateReply(given.late_reply)),
                keep=settings.store.dedupe_seconds,
                policy=Policy(given.max_deliveries, given.retry_base, given.retry_cap),
                archived=settings.store.archive_days * _DAY,
                concurrency=concurrency,
                content_types=settings.events.content_types,
            ),
            name,
            Outside(
                refuse_misfits(settings, bot),
                make_upstreams(settings),
                self._pushing(),
                self._learner(settings),
            ),
            metrics,
        )
        records = None if self.outbound is None else self.outbound.records
        self.monitor = ProcessMonitor(
            self.metrics,
            counting.read,
            components(settings, stores, self.inbound.lanes, records, self.apis),
            store=self.inbound.status,
            standing_still=self._standing_still,
            about=about(settings),
        )
        self._monitoring = _monitoring(settings, self.monitor)
        self._tap = TapSocket(TAP, settings.telemetry.tail, name.hex())

    @property
    def tracing(self) -> Tracing | None:
        """What begins traces; None where OpenTelemetry's variables ask for none."""
        return None if self._traces is None else self._traces.tracing

    def _standing_still(self) -> list[str]:
        outbound = self.outbound
        return [*self.inbound.standing_still, *(outbound.standing_still if outbound else ())]

    def _pushing(self) -> Pushing | None:
        outbound = self.outbound
        return None if outbound is None else Pushing(outbound.push, outbound.queue)

    def _learner(self, settings: Settings) -> Learner | None:
        if self.identities is None or self._personal is None:
            return None
        return make_learner(settings, self.apis, self.identities, self._personal)

    async def start(self) -> None:
        """Begin to consume and to send."""
        if self._traces is not None:
            install(self._traces)
        await self.monitor.start()
        if self._export is not None:
            self._export.start(self.monitor.families)
        if self._monitoring is not None:
            await self._monitoring.start()
        await self._tap.start()
        if self.identities is not None:
            await self.identities.start()
        await self.inbound.start()
        if self.outbound is not None:
            await self.outbound.start()

    async def stop(self) -> None:
        """Finish what is under way on both sides at once, let go of stores and connections."""
        self.monitor.is_draining = True
        if self.outbound is None:
            await self.inbound.stop()
        else:
            await asyncio.gather(self.inbound.stop(), self.outbound.stop())
            await self.outbound.close()
        if self._monitoring is not None:
            await self._monitoring.close()
        await self._tap.close()
        if self._export is not None:
            await self._export.close()
        await self.monitor.close()
        if self._personal is not None:
            await self._personal.close()
        if self.identities is not None:
            await self.identities.stop()
        await self.apis.close()
        if self._traces is not None:
            await asyncio.to_thread(self._traces.close)


def about(settings: Settings) -> dict[str, Any]:
    """Return what runs, for whoever asks for its health."""
    return {
        "version": __version__,
        "kernels": IMPLEMENTATION,
        "store": store_kind(settings),
        "accounts": len(settings.accounts),
    }


def _monitoring(settings: Settings, monitor: ProcessMonitor) -> MonitoringServer | None:
    if settings.telemetry.listen is None:
        return None
    return MonitoringServer(monitor, *split_listen(settings.telemetry.listen))


def refuse_misfits(settings: Settings, bot: Bot) -> list[Sink]:
    """Return the settings' sinks, which nothing is wrong with.

    Raise SettingsError where one lacks its extra, or memory would lose what must not be lost.
    """
    sinks = make_sinks(settings)
    if settings.store.url != MEMORY or settings.store.redis_url is not None:
        return sinks
    losers = {
        "the messages of background handlers": any(route.background for route in bot.routes()),
        "the events of bot.on_event": bool(bot.event_routes()),
        "the events of sinks": bool(sinks),
        "the events of producers": bool(settings.producers),
    }
    for what, is_there in losers.items():
        if is_there:
            raise SettingsError(
                f"store.url: memory:// would lose {what}; give sqlite:///var/gateway.db, or a "
                "store.redis_url"
            )
    return sinks
