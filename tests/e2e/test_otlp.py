"""Traces and metrics brought to a collector, over HTTP and over gRPC, by one worker and by two."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.collector import Collector, collector
from tests.e2e.server import ACCOUNTS, Server, running
from tests.e2e.test_metrics import FORGED, MESSAGES, REPEATED, _call, told
from tests.e2e.test_traces import LIFE, World, life_of
from tests.services import _children, wait_until

CALLBACKS = "gateway.callback.duration"


@pytest.fixture(params=["http/protobuf", "grpc"])
def seen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the gateway's processes know of."""
    with collector() as one:
        port = one.port if request.param == "http/protobuf" else one.grpc_port
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "300")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield one


def by_outcome(seen: Collector) -> dict[str, float]:
    """Return how many callbacks were answered, as the last export has it."""
    return {dict(one)["outcome"]: value for one, value in seen.measured(CALLBACKS).items()}


@pytest.mark.parametrize("kind", ["rsgi", "workers"])
def test_what_is_exported_is_what_metrics_tell_whoever_counted_it(
    seen: Collector, tmp_path: Path, kind: str
) -> None:
    began = time.time_ns()
    expected = {"reply": float(MESSAGES + 2 * REPEATED), "refused": float(FORGED)}
    with running(kind, tmp_path, ACCOUNTS) as server:
        asyncio.run(_call(server))
        wait_until(lambda: by_outcome(seen) == expected, "the metrics")
        counted = told(server, "gateway_callback_duration_seconds_count", "outcome")
        assert {name: float(value) for (name,), value in counted.items()} == expected
    last = seen.exports[-1]
    # All workers are one to who reads it, and a gauge of the stores is there as a counter is.
    (instance,) = {one.instance for one in last}
    assert instance
    assert {one.unit for one in last if one.name == CALLBACKS} == {"s"}
    assert {one.name for one in last} >= {"gateway.info", "gateway.messages"}
    counters = [one for one in last if one.name == CALLBACKS]
    assert all(began < one.began < time.time_ns() for one in counters)
    wait_until(lambda: any(one.name == "claim" for one in seen.spans), "spans")


def test_where_the_worker_that_exports_dies_another_one_goes_on_and_no_counter_falls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as seen:
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"http://127.0.0.1:{seen.port}/v1/metrics"
        )
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        with running("workers", tmp_path, ACCOUNTS) as server:
            asyncio.run(_call(server))
            expected = {"reply": float(MESSAGES + 2 * REPEATED), "refused": float(FORGED)}
            wait_until(lambda: by_outcome(seen) == expected, "the metrics")
            before = began(seen)
            for worker in exporting(server):
                os.kill(worker, signal.SIGKILL)
            count = len(seen.exports)
            wait_until(lambda: len(seen.exports) > count + 2, "an export of another worker")
            assert by_outcome(seen) == expected
            assert began(seen) == before


def began(seen: Collector) -> set[int]:
    """Return since when callbacks are counted, as the last export has it."""
    return {one.began for one in seen.exports[-1] if one.name == CALLBACKS}


def exporting(server: Server) -> list[int]:
    """Return the worker that holds the lock of who exports."""
    holders = [
        worker
        for worker in _children(server.process.pid)
        if any(
            link.readlink().name == "exporter"
            for link in Path(f"/proc/{worker}/fd").iterdir()
            if link.exists()
        )
    ]
    assert len(holders) == 1
    return holders


@pytest.mark.parametrize("kind", ["rsgi", "workers"])
def test_a_stop_exports_what_was_counted_since_the_last_time(
    seen: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    with running(kind, tmp_path, ACCOUNTS) as server:
        asyncio.run(_call(server))
        assert seen.exports == []
        assert server.stop() == 0
    assert by_outcome(seen) == {"reply": MESSAGES + 2 * REPEATED, "refused": FORGED}


def test_a_trace_is_whole_by_either_protocol(seen: Collector, tmp_path: Path) -> None:
    with ExitStack() as opened:
        world = World(tmp_path, opened)
        worker = world.worker()
        try:
            world.follow(1)
            wait_until(lambda: life_of(seen).keys() >= {*LIFE}, "the spans")
        finally:
            worker.stop()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_does_not_answer_is_counted_and_delays_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_TIMEOUT", "200")
        with running("rsgi", tmp_path, ACCOUNTS) as server:
            asyncio.run(_call(server))
            wait_until(
                lambda: told(server, "gateway_telemetry_exports_total", "outcome")["failed",] > 1,
                "failed exports",
            )
            # Which it does within 20 seconds, or the test fails.
            assert server.stop() == 0
