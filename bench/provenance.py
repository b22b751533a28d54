"""Where the figures of a result come from: when, on which machine, with which versions."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bench.machine import machine
from bench.versions import versions_of


def provenance(packages: Sequence[str], **of_machine: str) -> dict[str, Any]:
    """Return what every result begins with; ``of_machine`` is what else is to be told of that."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine() | of_machine,
        "python": sys.version,
        "versions": versions_of(packages),
    }
