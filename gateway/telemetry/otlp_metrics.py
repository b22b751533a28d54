"""Metrics brought to a collector, for those who do not let Prometheus come for them.

Asked for by OTEL_METRICS_EXPORTER=otlp, or an endpoint of metrics alone; not by the endpoint that
traces have too, for who reads /metrics as well would have all of it twice. Nothing waits for a
collector: an export has a thread of its own, and one that fails is counted.
"""

import asyncio
import fcntl
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.telemetry.instruments import Kind
from gateway.telemetry.logs import get_logger
from gateway.telemetry.metrics import Family, Metrics, Point
from gateway.telemetry.otlp import (
    CONSOLE,
    STOP_SECONDS,
    TelemetryWrong,
    exporter_name,
    number_of,
    otlp_exporter,
    resource_of,
)

_log = get_logger("gateway.telemetry")

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_INTERVAL_MS: Final = 60_000
_TIMEOUT_MS: Final = 30_000
_PROMETHEUS: Final = "prometheus"
"""Metrics are told at /metrics, as they always are."""


class Period(NamedTuple):
    """From when to when something was counted, in nanoseconds since 1970."""

    began: int
    now: int


def metrics_data(
    families: Iterable[Family], resource: Resource, version: str, period: Period
) -> MetricsData:
    """Return what was counted and found, as OpenTelemetry has it."""
    scope = ScopeMetrics(
        InstrumentationScope("gateway", version), [_metric(one, period) for one in families], ""
    )
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, period: Period) -> Metric:
    instrument = family.instrument
    data: Sum | Gauge | Histogram
    if instrument.kind is Kind.HISTOGRAM:
        points = [_histogram(family, point, period) for point in family.points]
        data = Histogram(points, _CUMULATIVE)
    elif instrument.kind is Kind.COUNTER:
        data = Sum([_number(family, one, period) for one in family.points], _CUMULATIVE, True)
    else:
        data = Gauge([_number(family, one, period) for one in family.points])
    return Metric(instrument.name, instrument.help, instrument.unit, data)


def _number(family: Family, point: Point, period: Period) -> NumberDataPoint:
    return NumberDataPoint(_attributes(family, point), *period, point.value)


def _histogram(family: Family, point: Point, period: Period) -> HistogramDataPoint:
    return HistogramDataPoint(
        _attributes(family, point),
        *period,
        count=sum(point.buckets),
        sum=point.value,
        bucket_counts=point.buckets,
        explicit_bounds=family.instrument.bounds,
        min=None,  # type: ignore[arg-type]  # nobody knows it; the protocol lets it out
        max=None,  # type: ignore[arg-type]
    )


def _attributes(family: Family, point: Point) -> dict[str, str]:
    return dict(zip(family.instrument.labels, point.labels, strict=True))


class Turn:
    """Which of several processes exports what all of them counted: one that holds a file's lock.

    The file has when the first of them began, for that is since when is counted.
    """

    def __init__(self, folder: Path | None, began: int) -> None:
        """``folder`` is what they share; None for a process that counts for itself, since began."""
        self._path = None if folder is None else folder / "exporter"
        self._began = began
        self._file: int | None = None

    def take(self) -> int | None:
        """Return when counting began, in nanoseconds since 1970; None where others export."""
        if self._path is None or self._file is not None:
            return self._began
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        self._file = file
        if written := os.read(file, 32):
            self._began = int(written)
        else:
            os.write(file, b"%d" % self._began)
        return self._began

    def release(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Pace(NamedTuple):
    """How often metrics are exported, in seconds."""

    interval: float
    timeout: float
    """After which an export is given up."""


class MetricsExport:
    """Exports what is counted, again and again, and once more at the end."""

    def __init__(
        self,
        exporter: MetricExporter,
        resource: Resource,
        version: str,
        turn: Turn,
        metrics: Metrics,
        pace: Pace,
    ) -> None:
        """``version`` is the gateway's; ``metrics`` count what came of it."""
        self._exporter = exporter
        self._resource = resource
        self._version = version
        self._turn = turn
        self._metrics = metrics
        self._interval, self._timeout = pace
        self._families: Callable[[], Awaitable[list[Family]]] | None = None
        self._running: asyncio.Task[None] | None = None
        self._sending = threading.Lock()

    def start(self, families: Callable[[], Awaitable[list[Family]]]) -> None:
        """Begin; ``families`` returns what is to be exported."""
        self._families = families
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Export once more, for a bounded time, and no more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._export(STOP_SECONDS)
        self._turn.release()
        threading.Thread(target=self._exporter.shutdown, daemon=True).start()

    async def _run(self) -> None:
        self._turn.take()
        while True:
            await asyncio.sleep(self._interval)
            await self._export()

    async def _export(self, patience: float = 0.0) -> None:
        """Export once, where it is this process's turn; what goes wrong is counted, not raised.

        ``patience`` is how long an export before it may still take.
        """
        try:
            began = self._turn.take()
            if began is None or self._families is None:
                return
            found, period = await self._families(), Period(began, time.time_ns())
            data = metrics_data(found, self._resource, self._version, period)
            async with asyncio.timeout(self._timeout):
                is_taken = await _in_thread(lambda: self._send(data, patience))
        except TimeoutError:
            is_taken = False
        except Exception as error:  # Whoever looks may raise; the next time it may work.
            _log.warning("metrics were not exported", error=type(error).__name__)
            is_taken = False
        self._metrics.exports.add(("exported" if is_taken else "failed",))

    def _send(self, data: MetricsData, patience: float) -> bool:
        # One at a time: a collector that hangs would have a thread more with each interval.
        if not self._sending.acquire(timeout=patience):
            return False
        try:
            result = self._exporter.export(data, timeout_millis=1000 * self._timeout)
        except Exception as error:  # whatever the exporter raises
            _log.warning("metrics were not exported", error=type(error).__name__)
            return False
        finally:
            self._sending.release()
        return result is MetricExportResult.SUCCESS


def make_metrics_export(
    environ: Mapping[str, str], metrics: Metrics | None, version: str, folder: Path | None
) -> MetricsExport | None:
    """Return what exports metrics; None where the variables ask for none.

    ``metrics`` is None where nothing is counted; ``folder`` as Turn has it. Raises TelemetryWrong.
    """
    exporter = _exporter(environ)
    if exporter is None:
        return None
    if metrics is None:
        raise TelemetryWrong(
            "OTEL_METRICS_EXPORTER: nothing is counted; set telemetry.metrics = true, or give none"
        )
    name = os.getpid() if folder is None else folder.name
    about = {"service.instance.id": f"{socket.gethostname()}:{name}"}
    return MetricsExport(
        exporter,
        resource_of(environ, version, **about),
        version,
        Turn(folder, time.time_ns()),
        metrics,
        Pace(
            number_of(environ, "OTEL_METRIC_EXPORT_INTERVAL", _INTERVAL_MS) / 1000,
            number_of(environ, "OTEL_METRIC_EXPORT_TIMEOUT", _TIMEOUT_MS) / 1000,
        ),
    )


def _exporter(environ: Mapping[str, str]) -> MetricExporter | None:
    name = exporter_name(environ, "METRICS", (_PROMETHEUS,))
    if name == CONSOLE:
        return ConsoleMetricExporter()
    is_asked_for = name == "otlp" or environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    if name in ("none", _PROMETHEUS) or not is_asked_for:
        return None
    exporter: MetricExporter = otlp_exporter(
        environ, "METRICS", "metric_exporter", "OTLPMetricExporter"
    )
    return exporter


async def _in_thread(call: Callable[[], bool]) -> bool:
    """Return what a call returns, made in a thread that no stop waits for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def tell(result: bool) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result: Any = call()
        with suppress(RuntimeError):  # The loop has ended.
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=run, daemon=True).start()
    return await done
