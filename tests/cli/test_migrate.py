"""``gateway migrate``: what is pending is listed, printed or applied, or why not is said."""

import asyncio
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

import asyncpg
import pytest

from tests.cli.running import Command
from tests.contracts.records import PASSWORD
from tests.services import Database, GivenPostgres, PostgresServer, free_port, fresh_schema

VARIABLE: Final = "GATEWAY_STORE__POSTGRES_DSN"
OPTIONS: Final = ((), ("--dry-run",), ("--sql",))
NAMES: Final = sorted(
    file.name
    for file in (files("gateway.adapters") / "migrations").iterdir()
    if file.name.endswith(".sql")
)

COLUMNS: Final = """
SELECT table_name, column_name, data_type, collation_name, is_nullable
FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2
"""
INDEXES: Final = """
SELECT tablename, indexname, replace(indexdef, current_schema(), 'SCHEMA')
FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1, 2
"""
APPLIED: Final = "SELECT name, checksum FROM gateway_migrations ORDER BY name"


@pytest.fixture
def database(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The settings' Postgres, with nothing in it."""
    monkeypatch.setenv(VARIABLE, postgres.dsn)
    return postgres


@pytest.fixture
def other(postgres_process: PostgresServer | GivenPostgres) -> Iterator[Database]:
    """Another one."""
    with fresh_schema(postgres_process.dsn) as schema:
        yield schema


def _run_script(database: Database, script: str) -> int:
    """Run the statements one by one, as psql does, behind an error too; return the errors."""

    async def run() -> int:
        connection = await asyncpg.connect(database.dsn, timeout=10)
        errors = 0
        try:
            for statement in script.strip().split(";\n"):
                try:
                    await connection.execute(statement)
                except asyncpg.PostgresError:
                    errors += 1
        finally:
            await connection.close()
        return errors

    return asyncio.run(run())


def _made(database: Database) -> list[list[asyncpg.Record]]:
    """Return all that the migrations have made."""
    return [database.run(query) for query in (COLUMNS, INDEXES, APPLIED)]


def test_the_tables_are_made_once(database: Database, command: Command) -> None:
    assert NAMES
    applied = "".join(f"applied: {name}\n" for name in NAMES)
    assert command("migrate") == (0, applied, "")
    assert [row["name"] for row in database.run(APPLIED)] == NAMES
    assert command("migrate") == (0, "nothing is pending\n", "")
    tables = {row["table_name"] for row in database.run(COLUMNS)}
    assert {"gateway_migrations", "gateway_dead_letters", "gateway_push_jobs"} < tables
    # They are those that the gateway works with.
    assert command("inbox", "status") == (0, "nothing waits; dead letters: 0\n", "")


def test_what_is_only_looked_at_is_left_as_it_is(database: Database, command: Command) -> None:
    pending = "".join(f"pending: {name}\n" for name in NAMES)
    for _ in range(2):
        assert command("migrate", "--dry-run") == (0, pending, "")
        assert "CREATE TABLE" in command("migrate", "--sql").out
    assert database.run(COLUMNS) == []


def test_where_nothing_is_pending_that_is_said(database: Database, command: Command) -> None:
    assert command("migrate").code == 0
    assert command("migrate", "--dry-run") == (0, "nothing is pending\n", "")
    assert command("migrate", "--sql") == (0, "-- nothing is pending\n", "")


def test_the_printed_script_does_what_the_command_does(
    database: Database, other: Database, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = command("migrate", "--sql")
    assert (ran.code, ran.err) == (0, "")
    assert _run_script(database, ran.out) == 0
    for options, said in zip(
        OPTIONS, ("nothing is pending\n",) * 2 + ("-- nothing is pending\n",), strict=True
    ):
        assert command("migrate", *options) == (0, said, "")
    monkeypatch.setenv(VARIABLE, other.dsn)
    assert command("migrate").code == 0
    assert all(_made(database))
    assert _made(database) == _made(other)


def test_a_script_that_is_applied_twice_changes_nothing_more(
    database: Database, command: Command
) -> None:
    script = command("migrate", "--sql").out
    assert _run_script(database, script) == 0
    before = _made(database)
    assert _run_script(database, script) > 0
    assert _made(database) == before


def test_a_script_that_fails_leaves_nothing_half_done(database: Database, command: Command) -> None:
    script = command("migrate", "--sql").out
    database.run("CREATE TABLE gateway_archive ()")
    assert _run_script(database, script) > 0
    assert database.run(APPLIED) == []
    database.run("DROP TABLE gateway_archive")
    assert _run_script(database, script) == 0
    assert command("migrate") == (0, "nothing is pending\n", "")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_without_a_postgres_there_is_nothing_to_migrate(
    options: tuple[str, ...], command: Command
) -> None:
    assert command("migrate", *options) == (
        2,
        "",
        (
            "gateway: store.postgres_dsn is missing: without it all is kept in store.url, which "
            "needs no migrations; give postgresql://USER:PASSWORD@HOST[:PORT]/DATABASE\n"
        ),
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_postgres_that_is_not_there_is_told_without_its_password(
    options: tuple[str, ...], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d")
    ran = command("migrate", *options)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("gateway: Postgres: ")
    assert ran.err.endswith(
        "; does it run where store.postgres_dsn says, and may this machine reach it?\n"
    )
    assert ran.err.count("\n") == 1
    assert "s3cr3t" not in ran.err


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_database_of_a_newer_gateway_is_refused(
    options: tuple[str, ...], database: Database, command: Command
) -> None:
    assert command("migrate").code == 0
    database.run("INSERT INTO gateway_migrations (name, checksum) VALUES ('9999_later.sql', '')")
    assert command("migrate", *options) == (
        2,
        "",
        (
            "gateway: store.postgres_dsn: this database is newer than this gateway, which does not "
            "know 9999_later.sql; install the version of the gateway that made it\n"
        ),
    )


def test_a_migration_that_fails_is_told(database: Database, command: Command) -> None:
    database.run("CREATE TABLE gateway_archive ()")
    ran = command("migrate")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        'gateway: Postgres: relation "gateway_archive" already exists; something of that name is '
        "there that gateway migrate did not make: rename or drop it\n"
    )
