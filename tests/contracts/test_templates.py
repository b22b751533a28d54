"""One suite over every TemplateStore: SQLite, Postgres; and the registry that reads them."""

from pathlib import Path

import pytest

from gateway.adapters.postgres_templates import PostgresTemplates
from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.errors import TemplateWrong
from gateway.outbound.ports import TemplateStore
from gateway.outbound.registry import Templates
from gateway.outbound.templates import FieldText, MessageTemplate, TemplateFile
from tests.contracts.records import Opener, migrated
from tests.services import Database

WRITTEN = TemplateFile("T1", {"thing1": FieldText("{{ goods }}")})
OTHER = TemplateFile("T2", {"thing1": FieldText("{{ goods | upper }}")})


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener[TemplateStore]:
    """Stores of each kind, with nothing in them."""
    if request.param == "sqlite":
        return Opener(lambda: SqliteTemplates(tmp_path / "var" / "g.db", timeout=5))
    database: Database = request.getfixturevalue("postgres")
    dsn = migrated(database.dsn)
    return Opener(lambda: PostgresTemplates(dsn, timeout=5))


def test_what_is_put_is_there_until_it_is_removed(opener: Opener[TemplateStore]) -> None:
    async def scenario() -> None:
        one, other = opener.open(), opener.open()
        assert await one.all() == {}
        await one.put("shipped", b'{"a": "\xe5\xa5\xbd"}')
        await one.put("shipped", b'{"b": 1}')
        await other.put("paid", b"{}")
        assert await other.all() == {"shipped": b'{"b": 1}', "paid": b"{}"}
        assert await other.remove("shipped")
        assert not await other.remove("shipped")
        assert await one.all() == {"paid": b"{}"}

    opener.play(scenario)


def test_a_template_that_one_process_is_given_is_known_to_the_others(
    opener: Opener[TemplateStore],
) -> None:
    async def scenario() -> None:
        files = {"file": MessageTemplate("file", WRITTEN)}
        one, other = Templates(files, opener.open()), Templates(files, opener.open())
        await one.put("shipped", WRITTEN)
        assert list(one) == ["file", "shipped"]
        assert list(other) == ["file"]
        await other.refresh()
        assert other["shipped"].render({"goods": "tea"}).data == {"thing1": "tea"}
        compiled = other["shipped"]
        await other.refresh()
        assert other["shipped"] is compiled
        await one.put("shipped", OTHER)
        await other.refresh()
        assert other["shipped"].render({"goods": "tea"}).data == {"thing1": "TEA"}
        assert other.written("shipped") == OTHER
        assert await one.remove("shipped")
        await other.refresh()
        assert (list(other), len(other), "shipped" in other) == (["file"], 1, False)

    opener.play(scenario)


def test_what_is_wrong_is_not_kept_and_a_file_is_not_covered(
    opener: Opener[TemplateStore],
) -> None:
    async def scenario() -> None:
        store = opener.open()
        templates = Templates({"file": MessageTemplate("file", WRITTEN)}, store)
        with pytest.raises(TemplateWrong, match=r"template bad: fields\.thing1: "):
            await templates.put("bad", TemplateFile("T1", {"thing1": FieldText("{{ goods")}))
        for attempt in (templates.put("file", OTHER), templates.remove("file")):
            with pytest.raises(TemplateWrong, match=r"is a file of push\.templates"):
                await attempt
        assert await store.all() == {}
        # What another version wrote harms nobody else's templates.
        await store.put("strange", b'{"unknown": 1}')
        await store.put("shipped", b'{"template_id": "T1", "fields": {"thing1": {"value": "a"}}}')
        await templates.refresh()
        assert list(templates) == ["file", "shipped"]

    opener.play(scenario)
