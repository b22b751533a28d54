"""Metrics as OpenTelemetry has them: what is exported, by whom, and what asks for it."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.resources import Resource

from gateway.telemetry.metrics import Family, Metrics, gather
from gateway.telemetry.otlp import TelemetryWrong
from gateway.telemetry.otlp_metrics import (
    MetricsExport,
    Pace,
    Period,
    Turn,
    make_metrics_export,
    metrics_data,
)

PERIOD: Final = Period(7, 9)
OTLP: Final = {"OTEL_METRICS_EXPORTER": "otlp"}


def exported(metrics: Metrics) -> dict[str, Any]:
    """Return what is sent of what was counted: each metric by its name."""
    families = gather(metrics.cells.read())
    request = encode_metrics(metrics_data(families, Resource({"a": "b"}), "1.0", PERIOD))
    (of_resource,) = request.resource_metrics
    (scope,) = of_resource.scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("gateway", "1.0")
    return {metric.name: metric for metric in scope.metrics}


def test_a_counter_is_a_sum_that_only_grows() -> None:
    metrics = Metrics()
    metrics.refusals.add(("main", "signature"), 3.0)
    metrics.refusals.add(("main", "size"))
    metric = exported(metrics)["gateway.callback.refusals"]
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2  # cumulative
    values = {
        tuple(one.value.string_value for one in point.attributes): point.as_double
        for point in metric.sum.data_points
    }
    assert values == {("main", "signature"): 3.0, ("main", "size"): 1.0}
    assert {(p.start_time_unix_nano, p.time_unix_nano) for p in metric.sum.data_points} == {(7, 9)}


def test_a_histogram_has_its_buckets_and_nothing_that_nobody_knows() -> None:
    metrics = Metrics()
    for seconds in (0.0001, 0.3, 0.3, 60.0):
        metrics.callbacks.observe(("main", "reply"), seconds)
    metric = exported(metrics)["gateway.callback.duration"]
    (point,) = metric.histogram.data_points
    assert metric.unit == "s"
    assert (point.count, point.sum) == (4, pytest.approx(60.6001))
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert (point.bucket_counts[0], point.bucket_counts[-1]) == (1, 1)
    assert sum(point.bucket_counts) == 4
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_a_gauge_is_as_it_is_now() -> None:
    metrics = Metrics()
    metrics.spill_age.set((), 2.5)
    metric = exported(metrics)["gateway.spill.age"]
    (point,) = metric.gauge.data_points
    assert point.as_double == 2.5


def test_one_of_those_that_share_their_cells_exports_and_then_another(tmp_path: Path) -> None:
    one, other = Turn(tmp_path, 100), Turn(tmp_path, 200)
    assert (one.take(), other.take(), one.take()) == (100, None, 100)
    one.release()
    # Since when is counted is known to whoever comes next.
    assert (other.take(), one.take()) == (100, None)
    assert Turn(None, 300).take() == 300


def test_the_turn_of_a_process_that_dies_is_free(tmp_path: Path) -> None:
    dies = (
        "import os, signal, sys; from pathlib import Path; "
        "from gateway.telemetry.otlp_metrics import Turn; "
        "assert Turn(Path(sys.argv[1]), 5).take() == 5; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", dies, str(tmp_path)], check=False)
    assert Turn(tmp_path, 6).take() == 5


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, None),
        ({"OTEL_METRICS_EXPORTER": "none"}, None),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, None),
        ({**OTLP, "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_METRICS_EXPORTER": "console"}, ConsoleMetricExporter),
        (OTLP, OTLPMetricExporter),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"}, OTLPMetricExporter),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, GrpcExporter),
        (
            {
                **OTLP,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
            },
            OTLPMetricExporter,
        ),
    ],
)
def test_what_exports_is_what_the_variables_ask_for(
    environ: dict[str, str], kind: type[object] | None
) -> None:
    made = make_metrics_export(environ, Metrics(), "1.0", None)
    assert (None if made is None else type(made._exporter)) == kind


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_METRICS_EXPORTER": "jaeger"}, "give otlp, console, none or prometheus"),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "give http/protobuf or grpc"),
        (
            {**OTLP, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"},
            "^OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: http/json",
        ),
        ({**OTLP, "OTEL_METRIC_EXPORT_INTERVAL": "1s"}, "OTEL_METRIC_EXPORT_INTERVAL: 1s"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(environ: dict[str, str], said: str) -> None:
    with pytest.raises(TelemetryWrong, match=said):
        make_metrics_export(environ, Metrics(), "1.0", None)


def test_where_nothing_is_counted_nothing_can_be_exported() -> None:
    with pytest.raises(TelemetryWrong, match=r"set telemetry\.metrics = true"):
        make_metrics_export(OTLP, None, "1.0", None)


def test_without_its_package_grpc_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.grpc.metric_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    environ = {**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(TelemetryWrong, match=r'pip install "wechat-gateway\[otlp-grpc\]"'):
        make_metrics_export(environ, Metrics(), "1.0", None)


def test_an_instance_is_told_from_others_by_what_it_counts_with(tmp_path: Path) -> None:
    made = [make_metrics_export(OTLP, Metrics(), "1.0", one) for one in (None, tmp_path, tmp_path)]
    names = [one._resource.attributes["service.instance.id"] for one in made if one is not None]
    assert str(names[0]).endswith(f":{os.getpid()}")
    assert names[1] == names[2] != names[0]


class Receiver(MetricExporter):
    """A collector that takes what it is given, when ``go_on`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.begun = 0

    def export(
        self,
        metrics_data: MetricsData,  # noqa: ARG002 - the base class's names
        timeout_millis: float = 10_000,  # noqa: ARG002
        **_: object,
    ) -> MetricExportResult:
        """Wait, and take it."""
        self.begun += 1
        self.go_on.wait()
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Hold nothing back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Let go of nothing."""


def exporting(receiver: Receiver, metrics: Metrics) -> MetricsExport:
    """Return what exports every few milliseconds."""
    return MetricsExport(receiver, Resource({}), "1.0", Turn(None, 1), metrics, Pace(0.005, 0.01))


def outcomes(metrics: Metrics) -> dict[str, float]:
    """Return how many exports had which end."""
    found = {one.instrument.name: one.points for one in gather(metrics.cells.read())}
    return {point.labels[0]: point.value for point in found.get("gateway.telemetry.exports", ())}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_look_that_fails_is_counted_and_ends_neither_the_exports_nor_the_stop() -> None:
    metrics, receiver = Metrics(), Receiver()
    receiver.go_on.set()
    is_broken = True

    async def families() -> list[Family]:
        if is_broken:
            raise OSError("unreadable")
        return gather(metrics.cells.read())

    async def run() -> None:
        nonlocal is_broken
        export = exporting(receiver, metrics)
        export.start(families)
        await until(lambda: outcomes(metrics).get("failed", 0) > 1)
        assert receiver.begun == 0
        is_broken = False
        await until(lambda: outcomes(metrics).get("exported", 0) > 1)
        is_broken = True
        failed = outcomes(metrics)["failed"]
        await export.close()
        assert outcomes(metrics)["failed"] > failed

    asyncio.run(run())


def test_a_collector_that_hangs_is_asked_once_and_again_when_it_answered() -> None:
    metrics, receiver = Metrics(), Receiver()

    async def families() -> list[Family]:
        return []

    async def run() -> None:
        export = exporting(receiver, metrics)
        export.start(families)
        await until(lambda: outcomes(metrics).get("failed", 0) > 3)
        assert receiver.begun == 1
        receiver.go_on.set()
        await until(lambda: outcomes(metrics).get("exported", 0) > 0)
        await export.close()

    asyncio.run(run())
