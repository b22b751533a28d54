"""How those who look on reach a process: a socket in a folder, which its own user alone may open.

One line of JSON goes in, an Interest; lines of JSON come out, a Told each. An onlooker that is too
slow is not waited for: it is told how much it missed.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.telemetry.logs import get_logger
from gateway.telemetry.tap import Interest, Onlooker, Tap, Told

_log = get_logger("gateway.telemetry")

MAX_UNREAD: Final = 262_144
"""Bytes that wait for an onlooker; what comes then is missed."""

MISSED: Final = "missed"
"""What is told instead of what was missed: how much, as its detail."""

LOOK_SECONDS: Final = 0.5
"""Between two looks for processes that started since."""

_SUFFIX: Final = ".sock"
_MAX_PATH: Final = 100
"""Bytes of a socket's path: the systems' own bounds are 104 and 108."""
_LINE_SECONDS: Final = 5.0

_encoder = msgspec.json.Encoder()
_told = msgspec.json.Decoder(Told)
_interest = msgspec.json.Decoder(Interest)


class TapSocket:
    """Lets others look on at this process."""

    def __init__(self, tap: Tap, folder: Path, name: str) -> None:
        """``name`` tells this process from all others."""
        self._tap = tap
        self._path = folder / f"{name}{_SUFFIX}"
        self._server: asyncio.Server | None = None
        self._looking_on: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen. Where that cannot be, say so: nothing else depends on it."""
        if len(os.fsencode(self._path)) > _MAX_PATH:
            _log.warning("nobody can look on", hint="let telemetry.tail be a shorter path")
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await _tidy(self._path.parent)
            # A name that nobody looks for, until nobody else may open it.
            hidden = self._path.with_suffix("")
            self._server = await asyncio.start_unix_server(self._serve, hidden)
            hidden.chmod(0o600)
            hidden.rename(self._path)
        except OSError as wrong:
            hint = "let telemetry.tail be a folder that the gateway's user may write"
            _log.warning("nobody can look on", error=wrong.strerror, hint=hint)

    async def close(self) -> None:
        """Let nobody look on any more."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for one in self._looking_on:
            one.cancel()
        if self._looking_on:
            await asyncio.wait(self._looking_on)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this in a task
        self._looking_on.add(task)
        try:
            async with asyncio.timeout(_LINE_SECONDS):
                interest = _interest.decode(await reader.readline())
            listener = _Listener(interest, writer)
            self._tap.open(listener)
            try:
                await reader.read()
            finally:
                self._tap.close(listener)
        except (OSError, ValueError, TimeoutError, asyncio.CancelledError):
            pass  # Whoever is gone, or says what cannot be understood, is told nothing.
        finally:
            self._looking_on.discard(task)
            writer.close()


class _Listener(Onlooker):
    def __init__(self, interest: Interest, writer: asyncio.StreamWriter) -> None:
        self._interest = interest
        self._writer = writer
        self._missed = 0

    @property
    def interest(self) -> Interest:
        """What they want to be told."""
        return self._interest

    def hear(self, told: Told) -> None:
        """Send what happened, where there is room for it."""
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            self._missed += 1
            return
        if self._missed:
            self._send(Told(told.at, MISSED, "", detail=str(self._missed)))
            self._missed = 0
        self._send(told)

    def _send(self, told: Told) -> None:
        self._writer.write(_encoder.encode(told) + b"\n")


def sockets(folder: Path) -> list[Path]:
    """Return the sockets of the processes that may be looked on at, or could once."""
    return [*folder.glob(f"*{_SUFFIX}")]


async def look_on(folder: Path, interest: Interest, happened: asyncio.Queue[Told]) -> None:
    """Put what happens in all processes of a folder, those too that start meanwhile; for ever."""
    listening: dict[Path, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while True:
            for path in sockets(folder):
                if path not in listening or listening[path].done():
                    listening[path] = group.create_task(_listen(path, interest, happened))
            await asyncio.sleep(LOOK_SECONDS)


async def _listen(path: Path, interest: Interest, happened: asyncio.Queue[Told]) -> None:
    """Hand on what one process tells, until it is gone."""
    with suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(_encoder.encode(interest) + b"\n")
            async for line in reader:
                await happened.put(_told.decode(line))
        finally:
            writer.close()


async def _tidy(folder: Path) -> None:
    """Remove what killed processes left."""
    for path in sockets(folder):
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError:
            pass  # It is another's.
        else:
            writer.close()
