"""The section of what is seen from outside: metrics, health; traces have OpenTelemetry's variables.

Those are OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and so on
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
"""

from pathlib import Path

from pydantic import Field, field_validator

from gateway.settings.sections import Section


class TelemetrySettings(Section):
    """What is seen from outside."""

    metrics: bool = True
    """Whether the gateway counts what it does, and tells at /metrics, in Prometheus' format."""
    listen: str | None = None
    """HOST:PORT where /metrics and /health are told, such as 127.0.0.1:9464. Where it is given they
    are told nowhere else, but /health/live; without it they are told on the callbacks' address, and
    `gateway worker` tells them nowhere. One of several `server.workers` listens, and tells of all
    of them."""
    quota_seconds: float = Field(default=600.0, ge=0, le=86_400)
    """How often WeChat is asked, at most, how many calls are left of each account's sending; only
    while somebody reads the metrics. 0: never."""

    tail: Path = Path("var/tail")
    """Folder where each process lets `gateway tail` look on, by a socket that the gateway's own
    user alone may open. Nothing is made for it while nobody does."""

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str | None) -> str | None:
        if listen is not None:
            split_listen(listen)
        return listen


def split_listen(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; raise ValueError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)
