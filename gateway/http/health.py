"""Health and metrics, for whoever keeps the process running and whoever is paged."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

METRICS: Final = "/metrics"
LIVE: Final = "/health/live"
READY: Final = "/health/ready"


class Told(NamedTuple):
    """What is answered."""

    status: int
    body: Mapping[str, Any]


class Monitor(Protocol):
    """Knows how the process is."""

    content_type: str
    """Of the metrics."""

    def live(self) -> Told:
        """Tell whether the process goes on; asks no store."""

    async def ready(self) -> Told:
        """Tell whether it may be sent callbacks, and how each component is."""

    async def metrics(self) -> bytes | None:
        """Return what is counted; None where nothing is."""


def live_route(monitor: Monitor) -> HTTPRouteHandler:
    """Return /health/live."""

    @get(LIVE, media_type=MediaType.JSON, sync_to_thread=False)
    def live() -> Response[Mapping[str, Any]]:
        """Answer as long as the event loop goes on, and what it should do is being done."""
        return _response(monitor.live())

    return live


def monitoring_routes(monitor: Monitor) -> list[HTTPRouteHandler]:
    """Return /health/ready and /metrics."""

    @get(READY, media_type=MediaType.JSON)
    async def ready() -> Response[Mapping[str, Any]]:
        """Answer once the gateway can take callbacks."""
        return _response(await monitor.ready())

    @get(METRICS)
    async def metrics() -> Response[bytes]:
        """Answer with what is counted."""
        counted = await monitor.metrics()
        if counted is None:
            return Response(b"", status_code=404)
        # As a header: Litestar knows no media type with parameters.
        return Response(counted, headers={"content-type": monitor.content_type})

    return [ready, metrics]


def _response(told: Told) -> Response[Mapping[str, Any]]:
    return Response(told.body, status_code=told.status)
