"""A gateway on one core, and whoever asks it, with the simulated WeChat, on the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load.cores import Cores, pinned, processes_of_group
from tests.e2e.signing_in import Place, place


@contextmanager
def running(folder: Path, cores: Cores, *, servers: bool, cache: float) -> Iterator[Place]:
    """Run it over Redis and Postgres with ``servers``, else over SQLite.

    The stores share the core of whoever asks; ``cache`` is identity.cache_seconds.
    """
    with (
        pinned(cores.generator),
        place(folder, servers=servers, identity=f"cache_seconds = {cache}") as here,
    ):
        move(here, cores)
        yield here


def move(here: Place, cores: Cores) -> None:
    """Put all threads of the gateway onto its core."""
    if cores.server is None:
        return
    for process in processes_of_group(here.server.process.pid):
        for thread in (Path("/proc") / str(process) / "task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores.server})
