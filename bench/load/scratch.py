"""Where generators read callbacks from and write replies to: memory, where there is a way to it.

Replies come by tens of megabytes a second. A disk that cannot keep up would hold the generator, and
the server would look slow for it. Servers keep their stores elsewhere, on a disk.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder of our own in it


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for the block's time."""
    folder = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="gateway-bench-", dir=folder) as name:
        yield Path(name)
