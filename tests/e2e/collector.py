"""A receiver of traces and metrics: OTLP over HTTP and over gRPC, as a collector has both."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.services import free_port


class Received(NamedTuple):
    """A span that came."""

    service: str
    pid: str
    name: str
    trace_id: str
    id: str
    parent: str
    kind: int
    attributes: dict[str, str]
    links: tuple[str, ...] = ()
    """The ids of the traces that it is linked to."""


class Measured(NamedTuple):
    """A metric's value for some attributes, as it came last."""

    instance: str
    name: str
    unit: str
    attributes: tuple[tuple[str, str], ...]
    value: float
    """A histogram's count."""
    began: int
    """Nanoseconds since 1970."""


class Collector:
    """What came, so far."""

    def __init__(self) -> None:
        self.port = free_port()
        """Of HTTP."""
        self.grpc_port = 0
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []
        """As they came."""
        self.exports: list[list[Measured]] = []
        """Metrics, export by export."""

    def take_spans(self, body: bytes) -> None:
        """Take a request's body."""
        self.bodies.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self.spans += [_received(about, one) for one in scope.spans]

    def take_metrics(self, body: bytes) -> None:
        """Take a request's body."""
        self.bodies.append(body)
        found: list[Measured] = []
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            about = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_metrics:
                for metric in scope.metrics:
                    found += _measured(about["service.instance.id"], metric)
        self.exports.append(found)

    def measured(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return a metric as the last export has it."""
        last = self.exports[-1] if self.exports else []
        return {one.attributes: one.value for one in last if one.name == name}


def _received(about: dict[str, str], one: Any) -> Received:
    return Received(
        about["service.name"],
        about["process.pid"],
        one.name,
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        one.kind,
        _attributes(one.attributes),
        tuple(link.trace_id.hex() for link in one.links),
    )


def _measured(instance: str, metric: Any) -> Iterator[Measured]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        value = point.count if kind == "histogram" else point.as_double
        attributes = tuple(sorted(_attributes(point.attributes).items()))
        began = point.start_time_unix_nano
        yield Measured(instance, metric.name, metric.unit, attributes, value, began)


def _attributes(given: Any) -> dict[str, str]:
    return {one.key: str(getattr(one.value, one.value.WhichOneof("value") or "")) for one in given}


_SERVICES: Final = {
    "/v1/traces": (
        "opentelemetry.proto.collector.trace.v1.TraceService",
        Collector.take_spans,
        ExportTraceServiceResponse,
    ),
    "/v1/metrics": (
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        Collector.take_metrics,
        ExportMetricsServiceResponse,
    ),
}
"""By the paths of HTTP: the service of gRPC, what takes a body, what is answered."""


@contextmanager
def collector() -> Iterator[Collector]:
    """Listen on free ports."""
    received = Collector()
    with _http(received), _grpc(received):
        yield received


@contextmanager
def _http(received: Collector) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:  # the base class's name
            """Take spans or metrics."""
            _, take, _ = _SERVICES[self.path]
            take(received, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", received.port), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _taking(received: Collector, take: Any, answer: Any) -> Any:
    def export(body: bytes, _context: object) -> Any:
        take(received, body)
        return answer().SerializeToString()

    return export


@contextmanager
def _grpc(received: Collector) -> Iterator[None]:
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        for service, take, answer in _SERVICES.values():
            handler: Any = grpc.unary_unary_rpc_method_handler(_taking(received, take, answer))
            handlers = {"Export": handler}
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
        received.grpc_port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield
        finally:
            server.stop(None).wait()
