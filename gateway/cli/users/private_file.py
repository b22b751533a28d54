"""A file that nobody else reads, and that is there whole or not at all."""

import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from gateway.errors import SettingsError


class PrivateFile:
    """Written beside its place, and put there in the end."""

    def __init__(self, path: Path, option: str) -> None:
        """``option`` is by which the path was given."""
        self._path = path
        self._option = option
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Open it; raise SettingsError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        except OSError as wrong:
            raise self._refused(wrong) from None
        return self

    def write(self, piece: bytes) -> None:
        """Add to it."""
        assert self._file is not None  # noqa: S101  # within the block
        try:
            self._file.write(piece)
        except OSError as wrong:
            raise self._refused(wrong) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Put it in its place, or remove what there is of it."""
        assert self._file is not None  # noqa: S101  # within the block
        try:
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
        except OSError as wrong:
            raise self._refused(wrong) from None
        finally:
            self._part.unlink(missing_ok=True)

    def _refused(self, wrong: OSError) -> SettingsError:
        said = wrong.strerror or wrong
        return SettingsError(f"{self._option} {self._path}: {said}; give another path")
