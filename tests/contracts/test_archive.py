"""One suite over every Archive: SQLite, Postgres."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.adapters import sqlite_wiping
from gateway.adapters.postgres import PostgresArchive
from gateway.adapters.sqlite_records import SqliteArchive
from gateway.errors import StoreDown
from gateway.inbound.ports import Archive, Callback
from tests.contracts.records import Opener, migrated, with_password
from tests.proxy import TcpProxy
from tests.services import Database, postgres_server

NOW: Final = 1_790_000_000.25
CALLBACK: Final = Callback(
    "00ff", "main", "Text", "oOpenId", NOW, '{"Content": "好 😀 \\u0000", "x": [1e400]}'.encode()
)


def callback(number: int) -> Callback:
    """Return a callback of its own, received so many seconds after the others."""
    return CALLBACK._replace(id=f"{number:032x}", received_at=NOW + number)


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[Archive]:
    """An archive of each kind, with nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "g.db"

        def ask(query: str) -> list[tuple[object, ...]]:
            with closing(sqlite3.connect(path)) as database:
                return database.execute(query.format("archive", "received_at")).fetchall()

        return Opener(lambda: SqliteArchive(path, timeout=5), ask)
    postgres: Database = request.getfixturevalue("postgres")
    dsn = migrated(postgres.dsn)

    def ask_postgres(query: str) -> list[tuple[object, ...]]:
        time = "extract(epoch FROM received_at)::float8"
        return [tuple(row) for row in postgres.run(query.format("gateway_archive", time))]

    return Opener(lambda: PostgresArchive(dsn, timeout=5), ask_postgres)


def kept(opener: Opener[Archive]) -> list[Callback]:
    """Return what the archive holds, the oldest first, as its owner would look it up."""
    query = "SELECT id, account, kind, open_id, {1}, document FROM {0} ORDER BY 5, 1"
    rows: list[Any] = opener.query(query)
    return [Callback(*row)._replace(document=row[5].encode()) for row in rows]


def test_what_is_added_is_kept_as_it_was(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        archive = opener.open()
        await archive.add([])
        await archive.add([CALLBACK, callback(1)])

    opener.play(scenario)
    assert kept(opener) == [CALLBACK, callback(1)]


def test_what_is_added_again_stays_as_it_was(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        other = CALLBACK._replace(kind="Voice", document=b"{}")
        archive = opener.open()
        await archive.add([CALLBACK, other])
        await archive.add([other])
        await opener.open().add([other, callback(1)])

    opener.play(scenario)
    assert kept(opener) == [CALLBACK, callback(1)]


def test_a_nul_in_text_is_no_reason_to_lose_a_batch(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        odd = CALLBACK._replace(id="01", kind="a\0b", open_id="\0")
        await opener.open().add([CALLBACK, odd])

    opener.play(scenario)
    assert [one.id for one in kept(opener)] == ["00ff", "01"]


def test_documents_can_be_asked_for_their_fields(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        user = {"FromUserName": "o1", "CreateTime": "1"}
        await opener.open().add([CALLBACK._replace(document=json.dumps(user).encode())])

    opener.play(scenario)
    assert opener.query("SELECT document ->> 'FromUserName' FROM {}") == [("o1",)]


def test_what_is_old_is_pruned_and_counted(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        archive = opener.open()
        assert await archive.prune(NOW) == 0
        await archive.add([callback(number) for number in range(10)])
        assert await archive.prune(NOW) == 0
        assert await archive.prune(NOW + 4) == 4
        assert await archive.prune(NOW + 4) == 0

    opener.play(scenario)
    assert kept(opener) == [callback(number) for number in range(4, 10)]


def test_thousands_are_added_and_pruned_whole(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        archive = opener.open()
        await archive.add([callback(number) for number in range(5000)])
        assert await archive.prune(NOW + 3500) == 3500
        # A whole number of what is removed at a time.
        assert await archive.prune(NOW + 4500) == 1000

    opener.play(scenario)
    assert kept(opener) == [callback(number) for number in range(4500, 5000)]


def test_what_one_user_sent_is_found_the_latest_first_and_erased(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        archive = opener.open()
        mine = [callback(number)._replace(open_id="oErased\0␀") for number in (3, 1, 2)]
        others = [callback(4), mine[0]._replace(id="f0", account="shop")]
        others.append(callback(5)._replace(open_id="oErased"))
        await archive.add([*mine, *others])
        found = await archive.of_user("main", "oErased\0␀", 10)
        assert found == sorted(mine, reverse=True)
        assert await archive.of_user("main", "oErased\0␀", 2) == found[:2]
        assert await archive.find(mine[1].id) == mine[1]
        assert await archive.find("nothing\0") is None
        assert await archive.of_user("shop", "oOpenId", 10) == []
        assert await archive.erase("main", "oErased\0␀") == 3
        assert await archive.erase("main", "oErased\0␀") == 0
        assert await archive.of_user("main", "oErased\0␀", 10) == []
        assert await archive.prune(NOW + 9) == 3

    opener.play(scenario)


@pytest.mark.parametrize("written_anew", [0, sqlite_wiping.WRITTEN_ANEW])
def test_what_is_erased_is_in_no_byte_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written_anew: int
) -> None:
    monkeypatch.setattr(sqlite_wiping, "WRITTEN_ANEW", written_anew)
    opener = Opener(lambda: SqliteArchive(tmp_path / "g.db", timeout=5))

    async def scenario() -> None:
        archive, other = opener.open(), opener.open()
        for number in range(40):
            document = json.dumps(
                {"FromUserName": f"o{number % 4}Open", "Content": "x" * number * 99}
            )
            one = callback(number)._replace(
                open_id=f"o{number % 4}Open", document=document.encode()
            )
            await (archive, other)[number % 2].add([one])
        assert await archive.erase("main", "o3Open") == 10
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert b"o2Open" in files["g.db"]
        assert [name for name, content in files.items() if b"o3Open" in content] == []

    opener.play(scenario)


def test_two_that_write_at_once_do_not_hinder_each_other(opener: Opener[Archive]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        many = [callback(number) for number in range(2500)]
        await asyncio.gather(
            *(one.add(many[start:]) for start in range(0, 2500, 500)),
            *(other.add(many[start::-1]) for start in range(2499, 0, -500)),
        )
        pruned = await asyncio.gather(one.prune(NOW + 2400), other.prune(NOW + 2400))
        assert sum(pruned) + await one.prune(NOW + 2400) == 2400

    opener.play(scenario)
    assert kept(opener) == [callback(number) for number in range(2400, 2500)]


def test_a_killed_postgres_is_down_and_back_once_it_is_started(tmp_path: Path) -> None:
    with postgres_server(tmp_path) as server:
        dsn = migrated(server.dsn)
        opener = Opener(lambda: PostgresArchive(dsn, timeout=5))

        async def scenario() -> None:
            archive = opener.open()
            await archive.add([callback(1)])
            server.kill()
            with pytest.raises(StoreDown, match=r"^Postgres: "):
                await archive.add([callback(2)])
            with pytest.raises(StoreDown, match=r"^Postgres: "):
                await archive.prune(NOW + 9)
            server.start()
            await archive.add([callback(2)])
            assert await archive.prune(NOW + 9) == 2

        opener.play(scenario)


def test_a_postgres_that_hangs_is_down(postgres: Database) -> None:
    dsn = migrated(postgres.dsn)
    with TcpProxy(postgres.port) as proxy:
        through = with_password(Database(dsn).at(proxy.port).dsn)
        opener = Opener(lambda: PostgresArchive(through, timeout=0.25))

        async def scenario() -> None:
            archive = opener.open()
            await archive.add([callback(1)])
            proxy.stall()
            with pytest.raises(StoreDown, match=r"^Postgres: no answer within 0\.25 s; "):
                await archive.add([callback(2)])
            with pytest.raises(StoreDown, match=r"^Postgres: no answer within 0\.25 s; "):
                await archive.prune(NOW + 9)

        opener.play(scenario)
