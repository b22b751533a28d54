"""What is told of a run: tables, the picture, and the JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import table
from bench.growth.plot import draw
from bench.growth.section import Line, Picture
from bench.provenance import provenance
from bench.queue.claims import BATCH, Claims
from bench.queue.delay import Delay

_PACKAGES: Final = ("wechat-gateway", "asyncpg", "aiohttp", "uvloop", "msgspec", "matplotlib")
_CLAIMS: Final = ("store", "jobs waiting", "claim ms", "p99", "settle ms", "p99 ", "bytes per job")
_DELAYS: Final = (
    *("worker", "accounts", "throttled", "messages/s", "messages", "missing"),
    *("p50 ms", "p99 ms", "p99.9 ms", "worker's MiB"),
)


def as_json(options: dict[str, Any], claims: list[Claims], delays: list[Delay]) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all rows."""
    return {
        **provenance(_PACKAGES),
        "options": options,
        "claims": [one._asdict() for one in claims],
        "delays": [one._asdict() for one in delays],
    }


def print_tables(document: dict[str, Any]) -> None:
    """Print the tables for a terminal."""
    table.show(_CLAIMS, _claim_cells(document))
    table.show(_DELAYS, _delay_cells(document))


def markdown_tables(document: dict[str, Any]) -> tuple[str, str]:
    """Return the table of claims and that of delays, for a document."""
    return (
        table.markdown(_CLAIMS, _claim_cells(document)),
        table.markdown(_DELAYS, _delay_cells(document)),
    )


def describe(document: dict[str, Any]) -> list[str]:
    """Return the lines that say how the numbers came about."""
    options = document["options"]
    sizes = [
        f"{name} {size / 2**20:,.0f} MiB"
        for one in document["claims"]
        if one["store"] == "Postgres" and one["waiting"] == max(options["sizes"])
        for name, size in one["bytes"].items()
    ]
    return [
        f"Claims: {BATCH} jobs each, {options['cycles']} at each size, the queue as long again",
        "behind each; settled as sent. Medians, and the 99th percentile of them.",
        f"Delays: from a message's creation to its receipt, over {options['seconds']} seconds;",
        "the worker on one core, the platform, the store and whoever queues on another.",
        f"In Postgres with {max(options['sizes']):,} waiting: {'; '.join(sizes)}.",
    ]


def plot(document: dict[str, Any], file: Path) -> None:
    """Draw what a claim takes with more and more jobs waiting."""
    lines = [
        Line(
            f"{store}, {what}",
            [
                (float(one["waiting"]), float(one[field]))
                for one in document["claims"]
                if one["store"] == store
            ],
        )
        for store in ("SQLite", "Postgres")
        for what, field in (("claim", "claim_ms"), ("settle", "settle_ms"))
    ]
    draw(
        Picture(f"Claiming {BATCH} jobs while others wait", "jobs waiting", "milliseconds", lines),
        file,
    )


def _claim_cells(document: dict[str, Any]) -> Sequence[Sequence[str]]:
    return [
        (
            one["store"],
            f"{one['waiting']:,}",
            f"{one['claim_ms']:.1f}",
            f"{one['claim_ms_p99']:.1f}",
            f"{one['settle_ms']:.1f}",
            f"{one['settle_ms_p99']:.1f}",
            f"{sum(one['bytes'].values()) / one['waiting']:,.0f}",
        )
        for one in document["claims"]
    ]


def _delay_cells(document: dict[str, Any]) -> Sequence[Sequence[str]]:
    return [
        (
            one["side"],
            f"{one['accounts']:,}",
            f"{one['throttled']:,}",
            f"{one['rate']:,.0f}",
            f"{one['messages']:,}",
            f"{one['missing']:,}",
            *(f"{one['milliseconds'][level]:.1f}" for level in ("p50", "p99", "p99.9")),
            f"{one['resident_mib'][0]:.0f} to {one['resident_mib'][-1]:.0f}",
        )
        for one in document["delays"]
    ]
