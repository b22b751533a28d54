"""The rows of the load comparison, served in another way than it serves them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.load.generator import HOST
from bench.load.servers import ROWS, Row

ECHO: Final = "bench.load.bots:echo"
"""The bot that the rows of this gateway, but those of the background, are served with."""

_RUN: Final = "from gateway.cli import main; main()"
"""What the `gateway` script does, without asking where it is installed."""


def gateway_row(
    name: str,
    *,
    bot: str = ECHO,
    workers: int = 1,
    cores: frozenset[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Row:
    """Return a row of this gateway with another bot, more workers, or cores it keeps itself to.

    A server given ``cores`` moves there before it does anything else, from wherever it was put.
    """
    row = ROWS[name]
    move = "" if cores is None else f"import os; os.sched_setaffinity(0, {set(cores)}); "

    def command(port: int, directory: Path) -> list[str]:
        return [
            *("-c", move + _RUN, "serve", bot),
            *("--config", str(directory / "gateway.toml")),
            *("--host", HOST, "--port", str(port), "--workers", str(workers)),
        ]

    return replace(row, command=command, environment=row.environment | dict(environment or {}))
