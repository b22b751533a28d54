"""Migrations of a real Postgres: each file is applied whole and once, whoever else is about it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from gateway.adapters import migrate
from gateway.errors import SettingsError, StoreDown
from tests.contracts.records import migrated, with_password
from tests.proxy import TcpProxy
from tests.services import Database, free_port, wait_until
from tests.support import APP_ID, TOKEN

NAMES: Final = list(migrate._migrations())
MADE: Final = [
    "gateway_archive",
    "gateway_checkpoints",
    "gateway_dead_letters",
    "gateway_former_people",
    "gateway_identities",
    "gateway_identity_consents",
    "gateway_identity_merges",
    "gateway_identity_tags",
    "gateway_migrations",
    "gateway_people",
    "gateway_person_roles",
    "gateway_push_jobs",
    "gateway_push_queue",
    "gateway_push_templates",
    "gateway_push_workers",
    "gateway_user_secrets",
]

TABLES: Final = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = current_schema() ORDER BY table_name
"""
APPLIED: Final = "SELECT name FROM gateway_migrations ORDER BY name"
WAITING: Final = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = 'wechat-gateway' AND wait_event_type = 'Lock'
"""


def _tables(database: Database) -> list[str]:
    return [row["table_name"] for row in database.run(TABLES)]


def _applied(database: Database) -> list[str]:
    return [row["name"] for row in database.run(APPLIED)]


def _pending(database: Database) -> list[str]:
    return asyncio.run(migrate.pending(database.dsn, migrate.CONNECT_SECONDS))


def _migrate(database: Database) -> list[str]:
    async def run() -> list[str]:
        return [name async for name in migrate.migrate(database.dsn)]

    return asyncio.run(run())


LOOKS: Final = [_pending, _migrate]


@contextmanager
def _connection(database: Database) -> Iterator[Callable[[str], Any]]:
    """Give what runs SQL on a connection that stays open."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database.dsn, timeout=10))
        try:
            yield lambda sql: runner.run(connection.execute(sql))
        finally:
            runner.run(connection.close())


@contextmanager
def _processes(count: int, database: Database, folder: Path) -> Iterator[list[Any]]:
    """Run ``gateway migrate`` so many times at once."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("GATEWAY_")}
    own = {
        "GATEWAY_STORE__POSTGRES_DSN": database.dsn,
        "GATEWAY_ACCOUNTS__MAIN__APP_ID": APP_ID,
        "GATEWAY_ACCOUNTS__MAIN__TOKEN": TOKEN,
        "GATEWAY_ACCOUNTS__MAIN__MODE": "plain",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "gateway", "migrate"],
            cwd=folder,
            env=others | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_four_processes_at_once_apply_each_file_once(postgres: Database, tmp_path: Path) -> None:
    with _processes(4, postgres, tmp_path) as processes:
        with _connection(postgres) as run:
            run(f"SELECT pg_advisory_lock({migrate._LOCK})")
            wait_until(lambda: len(postgres.run(WAITING)) == 4, "four that wait for the lock")
            assert _tables(postgres) == []
        said = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0] * 4
    applied = "".join(f"applied: {name}\n" for name in NAMES)
    assert sorted(said) == [(applied, ""), *[("nothing is pending\n", "")] * 3]
    assert _applied(postgres) == NAMES
    assert _tables(postgres) == MADE


def test_one_that_is_killed_has_done_nothing_of_the_file(
    postgres: Database, tmp_path: Path
) -> None:
    with _connection(postgres) as run:
        run("BEGIN; CREATE TABLE gateway_archive ()")
        with _processes(1, postgres, tmp_path) as (process,):
            wait_until(lambda: len(postgres.run(WAITING)) == 1, "one that waits for the name")
            process.kill()
            process.wait()
        run("ROLLBACK")
    assert _migrate(postgres) == NAMES
    assert _applied(postgres) == NAMES


def test_what_is_pending_is_told_and_what_is_applied_is_not(postgres: Database) -> None:
    assert _pending(postgres) == NAMES
    assert _tables(postgres) == []
    assert _migrate(postgres) == NAMES
    assert _tables(postgres) == MADE
    assert _pending(postgres) == []
    assert _migrate(postgres) == []
    assert _applied(postgres) == NAMES


def test_a_migration_that_fails_leaves_nothing_half_done(postgres: Database) -> None:
    """The table that is in the way comes last: the file's others were made by then."""
    postgres.run("CREATE TABLE gateway_archive ()")
    for _ in range(2):
        with pytest.raises(
            StoreDown, match=r'^Postgres: relation "gateway_archive" already exists; '
        ) as down:
            _migrate(postgres)
        assert down.value.__cause__ is None
        assert _applied(postgres) == []
        assert _tables(postgres) == ["gateway_archive", "gateway_migrations"]
    postgres.run("DROP TABLE gateway_archive")
    assert _migrate(postgres) == NAMES
    assert _tables(postgres) == MADE


@pytest.fixture
def further(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of a version to come: two more, the last of which wants a table called wanted."""
    more = {
        "9001_one.sql": "CREATE TABLE one ();\nCREATE TABLE two ();\n",
        "9002_two.sql": "CREATE TABLE three ();\nALTER TABLE wanted ADD COLUMN more text;\n",
    }
    files = migrate._migrations() | more
    monkeypatch.setattr(migrate, "_migrations", lambda: files)
    return list(more)


def test_only_what_a_new_version_brings_is_applied_in_order(
    postgres: Database, further: list[str]
) -> None:
    postgres.run("CREATE TABLE wanted ()")
    assert _migrate(postgres) == [*NAMES, *further]
    postgres.run("DELETE FROM gateway_migrations WHERE name > '9'")
    postgres.run("DROP TABLE one, two, three")
    postgres.run("ALTER TABLE wanted DROP COLUMN more")
    assert _pending(postgres) == further
    assert _migrate(postgres) == further
    assert _tables(postgres) == sorted([*MADE, "one", "two", "three", "wanted"])


def test_what_was_applied_before_a_file_that_fails_stays(
    postgres: Database, further: list[str]
) -> None:
    done: list[str] = []

    async def run() -> None:
        async for name in migrate.migrate(postgres.dsn):
            # Whoever is told of it finds it there, whatever comes then.
            found = [row["name"] for row in await postgres.fetch(APPLIED)]
            done.append(name)
            assert found == done

    with pytest.raises(StoreDown, match=r'^Postgres: relation "wanted" does not exist; '):
        asyncio.run(run())
    assert done == _applied(postgres) == [*NAMES, further[0]]
    assert _tables(postgres) == sorted([*MADE, "one", "two"])
    postgres.run("CREATE TABLE wanted ()")
    assert _pending(postgres) == _migrate(postgres) == further[1:]


@pytest.mark.parametrize("look", LOOKS)
def test_a_file_that_was_changed_behind_its_back_is_refused(
    look: Callable[[Database], list[str]], postgres: Database
) -> None:
    migrated(postgres.dsn)
    postgres.run("UPDATE gateway_migrations SET checksum = 'x'")
    with pytest.raises(SettingsError) as refused:
        look(postgres)
    assert str(refused.value) == (
        f"store.postgres_dsn: {NAMES[0]} was changed after this database applied it; install the "
        "gateway again, and put what is to change into a new file"
    )


@pytest.mark.parametrize("look", LOOKS)
def test_a_database_of_a_newer_gateway_is_left_alone(
    look: Callable[[Database], list[str]], postgres: Database
) -> None:
    # There would be something to do.
    postgres.run("CREATE TABLE gateway_migrations (name text, checksum text)")
    postgres.run("INSERT INTO gateway_migrations VALUES ('9999_later.sql', 'x')")
    with pytest.raises(SettingsError) as refused:
        look(postgres)
    assert str(refused.value) == (
        "store.postgres_dsn: this database is newer than this gateway, which does not know "
        "9999_later.sql; install the version of the gateway that made it"
    )
    assert _tables(postgres) == ["gateway_migrations"]


@pytest.mark.parametrize("look", LOOKS)
def test_a_postgres_that_hangs_is_down(
    look: Callable[[Database], list[str]], postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "CONNECT_SECONDS", 0.25)
    with TcpProxy(postgres.port) as proxy:
        proxy.stall()
        through = Database(with_password(postgres.at(proxy.port).dsn))
        with pytest.raises(StoreDown) as down:
            look(through)
        assert str(down.value) == (
            "Postgres: no answer within 0.25 s; does it run where store.postgres_dsn says, and may "
            "this machine reach it?"
        )


@pytest.mark.parametrize("look", LOOKS)
def test_a_postgres_that_is_not_there_is_down(
    look: Callable[[Database], list[str]], postgres: Database
) -> None:
    nowhere = Database(with_password(postgres.at(free_port()).dsn))
    with pytest.raises(StoreDown, match=r"^Postgres: .*; does it run where store\.postgres_dsn"):
        look(nowhere)
