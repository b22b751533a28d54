"""Health for whoever keeps the process running: does it live, and may it be sent callbacks."""

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.kernels import IMPLEMENTATION


def health_routes(version: str, accounts: int) -> list[HTTPRouteHandler]:
    """Return /health/live and /health/ready, which shows the version and how many accounts."""

    @get("/health/live", media_type=MediaType.JSON, sync_to_thread=False)
    def live() -> dict[str, str]:
        """Answer as long as the event loop goes on; asks nothing else."""
        return {"status": "ok"}

    @get("/health/ready", media_type=MediaType.JSON, sync_to_thread=False)
    def ready() -> Response[dict[str, str | int]]:
        """Answer once the gateway can take callbacks."""
        return Response(
            {
                "status": "ok",
                "version": version,
                "kernels": IMPLEMENTATION,
                "accounts": accounts,
            }
        )

    return [live, ready]
