"""One stress run: a server on one core, locust on another, and the server's memory meanwhile.

Locust is a process of its own and is not imported here: it replaces the standard library's blocking
parts by its own when it is imported.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.load.cores import Cores, choose_cores, pinned
from bench.load.generator import HOST, LoadError
from bench.load.servers import Row, Server, check_installed
from bench.resident import largest
from bench.stress.profiles import Profile
from bench.stress.record import POINTS

_ROOT: Final = Path(__file__).resolve().parents[2]
_WINDOW: Final = 600
"""Seconds a timestamp may be off: the gateway's default, for these callbacks are fresh."""

_GRACE: Final = 60.0
"""Seconds locust may take beyond the profile: to start, to end its last messages, to report."""

_END_TIMEOUT: Final = 5.0
_MIB: Final = 1 << 20
_LINES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    name: str
    """Of the profile."""
    profile: Profile
    row: Row
    results: Path
    """The folder of the three files."""

    def file(self, ending: str) -> Path:
        """Return one of them."""
        return self.results / f"stress-{self.name}.{ending}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    record: dict[str, Any]
    """What `bench.stress.record.Record` tells."""
    memory: list[dict[str, float]]
    """Seconds from the first callback on, and the server's resident MiB; the first and last point
    are before and behind the load."""
    cores: Cores


def run(plan: Plan) -> Outcome:
    """Run a profile against a server; raise LoadError where that cannot be done."""
    check_installed([plan.row])
    cores = choose_cores()
    with TemporaryDirectory(prefix="gateway-stress-") as name, pinned(cores.generator):
        directory = Path(name)
        with Server(plan.row, cores.server, _WINDOW) as server:
            memory = [_memory(server)]
            with _locust(plan, server.port, directory) as process:
                memory += _watch(plan, server, process)
            memory.append(_memory(server))
        record = _read(directory, process)
    return Outcome(
        record=record,
        memory=[{**point, "second": point["second"] - record["began"]} for point in memory],
        cores=cores,
    )


@contextmanager
def _locust(plan: Plan, port: int, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run locust for the block, and end it where the block ends before it does."""
    plan.results.mkdir(parents=True, exist_ok=True)
    profile = plan.profile
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", "bench/locustfile.py", "--headless"),
        *("--host", f"http://{HOST}:{port}", "--profile", plan.name),
        *("--seconds", str(profile.seconds), "--rate", str(profile.rate)),
        *("--record", str(directory / "record"), "--html", str(plan.file("html").resolve())),
        # What failed is in the record; another status tells that locust itself did.
        *("--exit-code-on-error", "0", "--only-summary", "--loglevel", "ERROR"),
    ]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _watch(plan: Plan, server: Server, process: subprocess.Popen[bytes]) -> list[dict[str, float]]:
    """Read the server's memory until locust has ended."""
    points = []
    deadline = time.monotonic() + plan.profile.seconds + _GRACE
    while time.monotonic() < deadline:
        try:
            process.wait(max(1.0, plan.profile.seconds / POINTS))
        except subprocess.TimeoutExpired:
            points.append(_memory(server))
        else:
            return points
    raise LoadError(f"locust did not end within {plan.profile.seconds + _GRACE:.0f} s")


def _memory(server: Server) -> dict[str, float]:
    try:
        return {"second": time.time(), "mib": largest(server.pid)[1] / _MIB}
    except (OSError, ValueError) as gone:
        raise LoadError(f"the server ended during the run:\n{server.said()}") from gone


def _read(directory: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((directory / "record").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    if process.returncode or not record.get("requests"):
        said = (directory / "output").read_text(errors="replace").splitlines()[-_LINES:]
        raise LoadError(
            "\n".join([f"locust sent nothing to judge (exit {process.returncode}):", *said])
        )
    return record
