"""How the settings want log lines."""

from gateway.settings import Settings
from gateway.settings.secret_values import secret_values
from gateway.telemetry.logs import configure_logging
from gateway.telemetry.masking import Mask


def log_as_set(settings: Settings, *, level: str | None = None) -> None:
    """Log as the settings say, or from another ``level`` on, with every secret of theirs masked."""
    server, mask = settings.server, Mask(secret_values(settings))
    configure_logging(level or server.log_level, server.log_format, mask)
