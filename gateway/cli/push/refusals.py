"""The lines of a batch that are refused: the first ones are shown, all are written down."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from gateway.errors import SettingsError
from gateway.outbound.batches import Refusal

SHOWN: Final = 20


class Refusals:
    """Takes refused lines, and keeps no more than are shown."""

    def __init__(self, path: str | None) -> None:
        """Write them to a file too, if one is given: NDJSON, each line's number and errors."""
        self._path = path
        self._file: BinaryIO | None = None
        self._open = ExitStack()
        self.count = 0
        self.first: list[Refusal] = []

    def __enter__(self) -> Self:
        """Open the file."""
        if self._path is not None:
            try:
                self._file = self._open.enter_context(Path(self._path).open("wb"))
            except OSError as wrong:
                said = f"--refused {self._path}: {wrong.strerror or wrong}; give another path"
                raise SettingsError(said) from None
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._open.close()

    def add(self, refusal: Refusal) -> None:
        """Take one."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(refusal)
        if self._file is not None:
            self._file.write(msgspec.json.encode(refusal._asdict()) + b"\n")
