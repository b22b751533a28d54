"""The memory of the process of a server that answers."""

import os
from pathlib import Path

from bench.load.cores import processes_of_group


def largest(group: int) -> tuple[int, int]:
    """Return the process of a group with the most resident bytes, and how many those are.

    It is the one that answers: what starts it holds less, what watches it next to nothing.
    """
    sizes = {process: _resident(process) for process in processes_of_group(group)}
    process = max(sizes, key=lambda one: sizes[one])
    return process, sizes[process]


def _resident(process: int) -> int:
    """Return a process's resident bytes; none of one that ended meanwhile."""
    try:
        pages = (Path("/proc") / str(process) / "statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
