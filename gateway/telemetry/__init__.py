"""What is seen from outside: for now, log lines on standard error."""

import logging

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Send log lines of ``level`` and above to standard error."""
    logging.basicConfig(level=level.upper(), format=FORMAT, force=True)
