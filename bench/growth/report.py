"""What is told of a run: tables, pictures, and the JSON; tables are made from what the JSON has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import table
from bench.growth.accounts import ACCOUNTS
from bench.growth.bodies import BODIES
from bench.growth.dedupe import DEDUPE
from bench.growth.plot import draw
from bench.growth.routes import ROUTES
from bench.growth.scale import Scale
from bench.growth.section import Row, Section
from bench.provenance import provenance

SECTIONS: Final = {one.name: one for one in (BODIES, ACCOUNTS, ROUTES, DEDUPE)}

_PACKAGES: Final = (
    "wechat-gateway",
    "msgspec",
    "pycryptodome",
    "redis",
    "wechatpy",
    "cryptography",
    "xmltodict",
    "matplotlib",
)


def as_json(scale: Scale, rows: dict[str, list[Row]]) -> dict[str, Any]:
    """Return everything: the machine, the versions, the options, all rows by section."""
    return {
        **provenance(_PACKAGES),
        "options": scale._asdict(),
        "rows": rows,
    }


def print_table(document: dict[str, Any], name: str) -> None:
    """Print a section's table for a terminal."""
    section, rows = _of(document, name)
    table.show(section.headings(rows), section.cells(rows))


def markdown_table(document: dict[str, Any], name: str) -> str:
    """Return a section's table for a document."""
    section, rows = _of(document, name)
    return table.markdown(section.headings(rows), section.cells(rows))


def describe(document: dict[str, Any], name: str) -> list[str]:
    """Return the lines that say how a section's numbers came about."""
    runs = document["options"]["runs"]
    shown = f"Shown: medians of {runs} runs (least-most)."
    return [shown, *SECTIONS[name].notes]


def plot_file(json: Path, name: str) -> Path:
    """Return where a section's picture lies: beside the JSON."""
    return json.with_name(f"{json.stem}-{name}.svg")


def plot(document: dict[str, Any], json: Path) -> list[Path]:
    """Draw every section that was measured; return the files."""
    files = []
    for name in document["rows"]:
        section, rows = _of(document, name)
        files.append(plot_file(json, name))
        draw(section.picture(rows), files[-1])
    return files


def _of(document: dict[str, Any], name: str) -> tuple[Section, Sequence[Row]]:
    return SECTIONS[name], document["rows"][name]
