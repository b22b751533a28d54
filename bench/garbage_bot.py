"""The echo bot, in a process that tells of its garbage collections."""

import gc
import os
from pathlib import Path

from bench.garbage import FOLDER_VARIABLE, Watch
from bench.load.bots import echo

__all__ = ["echo"]


def _watch(folder: Path) -> None:
    """Count collections from the process's gc.freeze() on, which ends a gateway's start.

    One that does not freeze has those of its start counted too.
    """
    watch, freeze = Watch(folder), gc.freeze

    def freeze_and_begin() -> None:
        freeze()
        watch.settled()

    gc.freeze = freeze_and_begin
    gc.callbacks.append(watch)


if FOLDER_VARIABLE in os.environ:
    _watch(Path(os.environ[FOLDER_VARIABLE]))
