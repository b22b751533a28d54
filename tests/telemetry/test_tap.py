"""What happens is told to those who look on, as they asked; nobody is waited for."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.telemetry import tap_socket
from gateway.telemetry.masking import open_id_hash
from gateway.telemetry.tap import Happening, Interest, Tap, Told
from gateway.telemetry.tap_socket import MISSED, TapSocket, look_on, sockets
from tests.inbound.lanes import stop, until
from tests.support import OPEN_ID
from tests.telemetry.onlooking import Witness

ALL: Final = Interest()
CAME: Final = Happening("callback", "main", "Text", OPEN_ID, "ab", "reply", 0.25)
USER: Final = open_id_hash(OPEN_ID)


@pytest.mark.parametrize(
    ("interest", "is_told"),
    [
        (ALL, True),
        (Interest("main", "Text", USER), True),
        (Interest("shop"), False),
        (Interest(type="Voice"), False),
        (Interest(user=open_id_hash("oAnother")), False),
        (Interest("main", "Voice"), False),
    ],
)
def test_an_onlooker_is_told_what_they_asked_for(interest: Interest, is_told: bool) -> None:
    tap, witness = Tap(lambda: 7.0), Witness(interest)
    tap.open(witness)
    tap.tell(CAME)
    told = Told(7.0, "callback", "main", "Text", USER, "ab", "reply", 0.25)
    assert witness.told == [told] * is_told


def test_a_tap_is_open_as_long_as_anybody_looks_on() -> None:
    tap, one, other = Tap(), Witness(), Witness()
    assert not tap.is_open
    tap.open(one)
    tap.open(other)
    tap.close(one)
    assert tap.is_open
    tap.tell(CAME)
    tap.close(other)
    assert not tap.is_open
    assert (len(one.told), len(other.told)) == (0, 1)


def play(folder: Path, scenario: Callable[[Tap, TapSocket], Awaitable[Any]]) -> None:
    """Run a scenario with a process's tap and its socket, but not for ever."""

    async def run() -> None:
        tap = Tap()
        socket = TapSocket(tap, folder, "one")
        async with asyncio.timeout(20):
            await socket.start()
            try:
                await scenario(tap, socket)
            finally:
                await socket.close()

    asyncio.run(run())


def test_several_look_on_at_several_processes_that_come_and_go(tmp_path: Path) -> None:
    async def scenario(tap: Tap, _socket: TapSocket) -> None:
        heard: list[asyncio.Queue[Told]] = [asyncio.Queue(), asyncio.Queue()]
        interests = (ALL, Interest(account="shop"))
        looking = [
            asyncio.create_task(look_on(tmp_path, interest, queue))
            for interest, queue in zip(interests, heard, strict=True)
        ]
        await until(lambda: len(tap._onlookers) == 2)
        tap.tell(CAME)
        assert (await heard[0].get()).user == USER
        # Another process starts, and is found.
        other = Tap()
        beside = TapSocket(other, tmp_path, "two")
        await beside.start()
        await until(lambda: len(other._onlookers) == 2)
        other.tell(CAME._replace(account="shop"))
        assert [(await queue.get()).account for queue in heard] == ["shop", "shop"]
        await beside.close()
        assert [path.name for path in sockets(tmp_path)] == ["one.sock"]
        await until(lambda: not other.is_open)
        for task in looking:
            await stop(task)
        await until(lambda: not tap.is_open)

    play(tmp_path, scenario)


def test_an_onlooker_that_is_too_slow_is_told_how_much_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_socket, "MAX_UNREAD", 10_000)

    async def scenario(tap: Tap, _socket: TapSocket) -> None:
        queue: asyncio.Queue[Told] = asyncio.Queue(1)
        looking = asyncio.create_task(look_on(tmp_path, ALL, queue))
        await until(lambda: tap.is_open)
        every = 0
        for _ in range(400):
            for _ in range(50):
                tap.tell(CAME._replace(detail="x" * 500))
                every += 1
            await asyncio.sleep(0)
        heard = missed = 0
        while heard + missed < every:
            try:
                async with asyncio.timeout(0.5):
                    told = await queue.get()
            except TimeoutError:
                # What was missed is told with the next that is not.
                tap.tell(CAME)
                every += 1
                continue
            if told.what == MISSED:
                missed += int(told.detail)
            else:
                heard += 1
        assert missed > 1000
        assert heard + missed == every
        await stop(looking)

    play(tmp_path, scenario)


def test_nobody_but_the_gateway_s_user_can_look_on(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "tail"

    async def scenario(_tap: Tap, _socket: TapSocket) -> None:
        (path,) = sockets(folder)
        assert path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700

    play(folder, scenario)
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("line", [b"", b"nonsense\n", b'{"account": 7}\n', b"x" * 200_000])
def test_who_asks_for_nothing_that_can_be_understood_is_told_nothing(
    tmp_path: Path, line: bytes
) -> None:
    async def scenario(tap: Tap, _socket: TapSocket) -> None:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "one.sock")
        writer.write(line)
        writer.write_eof()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert not tap.is_open
        writer.close()

    play(tmp_path, scenario)


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    left = (
        "import socket, os, signal; s = socket.socket(socket.AF_UNIX); s.bind('dead.sock'); "
        "s.listen(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", left], cwd=tmp_path, check=False)
    assert [path.name for path in sockets(tmp_path)] == ["dead.sock"]

    async def scenario(_tap: Tap, _socket: TapSocket) -> None:
        assert [path.name for path in sockets(tmp_path)] == ["one.sock"]

    play(tmp_path, scenario)


@pytest.mark.parametrize("folder", ["file/tail", "long" * 30])
def test_where_nobody_can_look_on_that_is_a_warning_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    (tmp_path / "file").touch()

    async def scenario(tap: Tap, _socket: TapSocket) -> None:
        tap.tell(CAME)

    with caplog.at_level(logging.WARNING):
        play(tmp_path / folder, scenario)
    (record,) = caplog.records
    assert "nobody can look on" in record.getMessage()
    assert os.path.lexists(tmp_path / "file")
