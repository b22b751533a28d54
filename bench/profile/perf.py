"""Linux's perf, which samples the stacks of other processes: found, started, ended, read."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.load.generator import LoadError
from bench.profile.samples import FIELDS, Stack, read_samples

FREQUENCY: Final = 999
"""Samples a second; no round number, so as not to keep step with what is done each millisecond."""

_BEGIN_TIMEOUT: Final = 10.0
_END_TIMEOUT: Final = 30.0
_POLL: Final = 0.02
_OPENING: Final = 0.3
_PARANOID: Final = Path("/proc/sys/kernel/perf_event_paranoid")


def check_installed() -> None:
    """Raise LoadError, in one line, where there is no perf."""
    if shutil.which("perf") is None:
        raise LoadError(
            "perf is not installed: apt install linux-perf (Debian), or linux-tools-generic "
            "(Ubuntu); or leave it out: --only steps"
        )


@contextmanager
def sampling(processes: list[int], file: Path) -> Iterator[None]:
    """Sample the processes, with the threads they have and start, within the block."""
    command = [
        *("perf", "record", "-F", str(FREQUENCY), "-g", "--no-buildid-cache", "-o", str(file)),
        *("-p", ",".join(str(process) for process in processes)),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as perf:
        try:
            _wait_until_begun(perf, file)
            yield
        finally:
            perf.send_signal(signal.SIGINT)
            try:
                _, said = perf.communicate(timeout=_END_TIMEOUT)
            except subprocess.TimeoutExpired:
                perf.kill()
                raise LoadError("perf did not end") from None
    # It ends by the signal it was sent.
    if not file.exists() or file.stat().st_size == 0:
        raise _refused(said)


def _wait_until_begun(perf: subprocess.Popen[bytes], file: Path) -> None:
    until = time.monotonic() + _BEGIN_TIMEOUT
    while not file.exists() and perf.poll() is None:
        if time.monotonic() > until:
            raise LoadError("perf did not begin")
        time.sleep(_POLL)
    # It makes its file just before it opens its events; processes that idle give no samples.
    time.sleep(_OPENING)
    if perf.poll() is not None:
        raise _refused(perf.communicate()[1])


def _refused(said: bytes) -> LoadError:
    lines = said.decode(errors="replace").split("\n")
    why = next((line.strip() for line in lines if line.strip()), "it said nothing")
    return LoadError(f"perf did not sample: {why} ({_advice()})")


def _advice() -> str:
    level = _PARANOID.read_text().strip() if _PARANOID.exists() else "not known"
    return (
        f"kernel.perf_event_paranoid is {level}: run as root, or sysctl "
        "kernel.perf_event_paranoid=1 kernel.kptr_restrict=0"
    )


def read(file: Path) -> list[Stack]:
    """Return the stacks of a recording; raise LoadError where Linux's part is not in it."""
    command = ["perf", "script", "-i", str(file), "--no-inline", "-F", FIELDS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as perf:
        assert perf.stdout
        stacks = list(read_samples(perf.stdout))
    if not stacks:
        raise LoadError("perf took no sample: the server had nothing to do, or runs elsewhere")
    if not any(stack[0].in_linux for stack in stacks):
        # Their time would count as that of the others.
        raise LoadError(f"perf may not look into the kernel ({_advice()})")
    return stacks
