"""The spill on disk: what waits on this machine while the store is down.

Each process appends to a file of its own, which it holds by a lock; a file whose lock is free is a
dead process's, and whoever sees it takes it over. A record is its length, its CRC-32, the time, and
its bytes; a torn last one was never acknowledged, and is passed over.
"""

import asyncio
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

_T = TypeVar("_T")

_HEAD: Final = struct.Struct(">IId")
_SUFFIX: Final = ".spill"


class _File:
    """One file of records, locked by this process as long as it is open."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._at = 0
        """Where the oldest record begins that was not dropped."""
        self._end = 0
        self.oldest: float | None = None

    def append(self, records: Sequence[bytes], now: float) -> None:
        data = b"".join(_HEAD.pack(len(r), zlib.crc32(r), now) + r for r in records)
        self._file.seek(self._end)
        self._file.write(data)
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._end += len(data)
        if self.oldest is None:
            self.oldest = now

    def scan(self) -> None:
        """Find out what a dead process left."""
        at = self._end = 0
        while (found := self._record(at)) is not None:
            at = self._end = at + _HEAD.size + len(found[1])
        self._look()

    def read(self, limit: int) -> list[bytes]:
        records: list[bytes] = []
        at = self._at
        while len(records) < limit and at < self._end and (found := self._record(at)) is not None:
            records.append(found[1])
            at += _HEAD.size + len(found[1])
        return records

    def drop(self, count: int) -> None:
        for record in self.read(count):
            self._at += _HEAD.size + len(record)
        if self._at >= self._end:
            self._file.truncate(0)
            self._at = self._end = 0
        self._look()

    def close(self) -> None:
        """Let go of the file; remove it where nothing is in it."""
        if self._end == 0:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _look(self) -> None:
        found = self._record(self._at) if self._at < self._end else None
        self.oldest = None if found is None else found[0]

    def _record(self, at: int) -> tuple[float, bytes] | None:
        self._file.seek(at)
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, checksum, when = _HEAD.unpack(head)
        record = self._file.read(length)
        if len(record) < length or zlib.crc32(record) != checksum:
            return None
        return when, record


class FileSpill:
    """The Spill in a folder; a thread of its own does the work."""

    def __init__(self, folder: Path, name: str, clock: Callable[[], float] = time.time) -> None:
        """``name`` is this process's own file in the folder, made when it is first needed."""
        self._folder = folder
        self._name = name
        self._clock = clock
        self._own: _File | None = None
        self._adopted: list[_File] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spill")

    async def append(self, records: Sequence[bytes]) -> None:
        """Keep the records, synced to disk; raise OSError where the disk does not."""

        def append() -> None:
            if self._own is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._own = self._open(self._folder / f"{self._name}{_SUFFIX}")
                # The file's name must be on disk as well.
                _sync_folder(self._folder)
            if self._own is None:
                raise OSError(f"{self._name}{_SUFFIX} is another process's")
            self._own.append(records, self._clock())

        await self._run(append)

    async def read(self, limit: int) -> list[bytes]:
        """Return the oldest records, those of dead processes first."""
        return await self._run(
            lambda: next((found for f in self._files() if (found := f.read(limit))), [])
        )

    async def drop(self, count: int) -> None:
        """Forget so many of the records that read returns."""

        def drop() -> None:
            file = next((f for f in self._files() if f.oldest is not None), None)
            if file is not None:
                file.drop(count)
            for drained in [f for f in self._adopted if f.oldest is None]:
                drained.close()
                self._adopted.remove(drained)

        await self._run(drop)

    def oldest(self) -> float | None:
        """Return when the oldest record was kept, in Unix seconds."""
        return min((f.oldest for f in self._files() if f.oldest is not None), default=None)

    async def adopt(self) -> None:
        """Take over the files of dead processes."""

        def adopt() -> None:
            mine = {file.path for file in self._files()}
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                file = self._open(path) if path not in mine else None
                if file is None:
                    continue
                file.scan()
                if file.oldest is None:
                    file.close()
                else:
                    self._adopted.append(file)

        await self._run(adopt)

    async def close(self) -> None:
        """Let go of the files; what is in them stays."""

        def close() -> None:
            for file in self._files():
                file.close()
            self._own, self._adopted = None, []

        await self._run(close)
        self._thread.shutdown()

    def _files(self) -> list[_File]:
        return [*self._adopted, *([] if self._own is None else [self._own])]

    @staticmethod
    def _open(path: Path) -> _File | None:
        """Return the file, locked; None where another process holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        try:
            is_there = os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            is_there = False
        if not is_there:
            # Whoever had it locked before has removed it: what is written here nobody would find.
            os.close(descriptor)
            return FileSpill._open(path)
        return _File(path, os.fdopen(descriptor, "r+b"))

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
