"""Health for whoever keeps the process running: does it live, and may it be sent callbacks."""

from collections.abc import Callable
from typing import Any

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.kernels import IMPLEMENTATION


def health_routes(
    version: str, accounts: int, store: Callable[[], dict[str, Any]]
) -> list[HTTPRouteHandler]:
    """Return /health/live and /health/ready; ``store`` tells how the store stands.

    A gateway whose store is down is ready all the same, and says that it is degraded: it answers,
    and keeps on its own disk what must not be lost.
    """

    @get("/health/live", media_type=MediaType.JSON, sync_to_thread=False)
    def live() -> dict[str, str]:
        """Answer as long as the event loop goes on; asks nothing else."""
        return {"status": "ok"}

    @get("/health/ready", media_type=MediaType.JSON, sync_to_thread=False)
    def ready() -> Response[dict[str, Any]]:
        """Answer once the gateway can take callbacks."""
        stands = store()
        return Response(
            {
                "status": stands["status"],
                "store": stands,
                "version": version,
                "kernels": IMPLEMENTATION,
                "accounts": accounts,
            }
        )

    return [live, ready]
