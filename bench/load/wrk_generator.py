"""The load from wrk: one thread, a Lua script, every reply kept in a file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Final

from bench.load.callbacks import CallbackSet
from bench.load.cores import UsageMeter, cpu_seconds
from bench.load.generator import HOST, REPLY_TIMEOUT, Answer, Load, LoadError

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_RESULT: Final = "RESULT "
_GRACE: Final = 20
"""Seconds wrk may take beyond the run itself before it is killed."""


class WrkGenerator:
    """Runs wrk; its percentiles are wrk's own, corrected for coordinated omission."""

    name = "wrk"

    def run(
        self,
        port: int,
        callbacks: CallbackSet,
        *,
        start: int,
        seconds: int,
        connections: int,
        meter: UsageMeter,
    ) -> Load:
        """Send the callbacks from index ``start`` on, for some seconds."""
        replies = callbacks.path.with_suffix(".replies")
        command = [
            *("wrk", "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{REPLY_TIMEOUT:.0f}s"),
            *("--script", str(_SCRIPT), f"http://{HOST}:{port}/", "--"),
            *(str(callbacks.path), str(callbacks.position(start)), str(replies)),
        ]
        result = json.loads(_run(command, seconds + _GRACE, meter))
        unanswered = result["sent"] - result["requests"]
        return Load(
            seconds=result["microseconds"] / 1e6,
            requests=result["requests"],
            sent=result["sent"],
            p50_ms=result["p50"] / 1e3,
            p99_ms=result["p99"] / 1e3,
            answers=_read(replies),
            socket_errors=result["connect"] + result["read"] + result["write"],
            timeouts=result["timeout"],
            # wrk counts neither a connection closed instead of a reply nor a reply that never
            # came; only as many as there are connections can have been under way at the end.
            lost=max(0, unanswered - connections),
        )


def _run(command: list[str], limit: float, meter: UsageMeter) -> str:
    """Return the result line's text; kill wrk when it takes longer than ``limit`` seconds."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as wrk:
        assert wrk.stdin
        assert wrk.stdout
        assert wrk.stderr
        killer = Timer(limit, wrk.kill)
        killer.start()
        said = []
        try:
            for line in wrk.stderr:
                if line == "ready\n":
                    meter.start(lambda: cpu_seconds([wrk.pid]))
                elif line == "done\n":
                    meter.stop()
                else:
                    said.append(line)
                    continue
                wrk.stdin.write("go on\n")
                wrk.stdin.flush()
            report = wrk.stdout.read()
        finally:
            killer.cancel()
            wrk.kill()
    for line in report.splitlines():
        if line.startswith(_RESULT):
            return line.removeprefix(_RESULT)
    raise LoadError(f"wrk ended without a result (exit {wrk.returncode}): {''.join(said)}{report}")


def _read(path: Path) -> Iterator[Answer]:
    with path.open("rb") as file:
        while head := file.readline():
            status, length = head.split()
            yield Answer(None, int(status), file.read(int(length)))
