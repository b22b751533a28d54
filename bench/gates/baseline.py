"""The committed figures that a run is held to, and why they are what they are."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.gates.figures import Figure
from bench.gates.instructions import Environment
from bench.gates.ratios import RUNS, SECONDS
from bench.gates.refusal import CannotRun
from bench.machine import machine
from bench.versions import versions_of

PATH: Final = Path(__file__).resolve().parents[1] / "baseline.json"

_PACKAGES: Final = (
    "wechat-gateway",
    "Cython",
    "msgspec",
    "pycryptodome",
    "wechatpy",
    "cryptography",
    "xmltodict",
    "pytest-benchmark",
)


class Baseline(msgspec.Struct, frozen=True):
    """What was measured when, where and why."""

    date: str
    reason: str
    """Why it was renewed."""
    machine: dict[str, Any]
    python: str
    versions: dict[str, str | None]
    options: dict[str, float]
    environment: Environment
    """What the counts of instructions depend on."""
    ratios: list[Figure]
    instructions: list[Figure]


def make(
    reason: str, ratios: list[Figure], instructions: list[Figure], environment: Environment
) -> Baseline:
    """Return a baseline of today and of this machine."""
    return Baseline(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=reason,
        machine=machine(),
        python=sys.version,
        versions=versions_of(_PACKAGES),
        options={"seconds": SECONDS, "runs": RUNS},
        environment=environment,
        ratios=ratios,
        instructions=instructions,
    )


def load(path: Path) -> Baseline:
    """Return the baseline in a file; raise CannotRun where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError:
        raise CannotRun(
            f'there is no {path}; make it: python -m bench.gates --renew --reason "the first one"'
        ) from None
    except msgspec.DecodeError as error:
        raise CannotRun(f"{path} is no baseline: {error}") from None


def save(baseline: Baseline, path: Path) -> None:
    """Write the baseline to a file."""
    encoded = msgspec.json.format(msgspec.json.encode(baseline), indent=2)
    path.write_bytes(encoded + b"\n")
