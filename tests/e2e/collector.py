"""A receiver of traces: OTLP over HTTP, as a collector has it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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


class Collector:
    """What came, so far."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.spans: list[Received] = []
        self.bodies: list[bytes] = []
        """As they came."""

    def take(self, body: bytes) -> None:
        """Take a request's body."""
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for of_resource in request.resource_spans:
            about = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            for scope in of_resource.scope_spans:
                for one in scope.spans:
                    attributes = {
                        given.key: str(getattr(given.value, given.value.WhichOneof("value") or ""))
                        for given in one.attributes
                    }
                    self.spans.append(
                        Received(
                            about["service.name"],
                            about["process.pid"],
                            one.name,
                            one.trace_id.hex(),
                            one.span_id.hex(),
                            one.parent_span_id.hex(),
                            one.kind,
                            attributes,
                        )
                    )


@contextmanager
def collector() -> Iterator[Collector]:
    """Listen on a free port."""
    received = Collector(free_port())

    class Handler(BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:  # the base class's name
            """Take spans."""
            received.take(self.rfile.read(int(self.headers["content-length"])))
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
        yield received
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
