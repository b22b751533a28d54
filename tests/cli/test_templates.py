"""`gateway templates`, as a person uses it."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from gateway.adapters.sqlite_templates import SqliteTemplates
from gateway.outbound.templates import TemplateFile
from tests.cli.running import Command
from tests.outbound.test_templates import ORDER
from tests.services import free_port

PAID = b'{"template_id": "T2", "fields": {"thing1": {"value": "{{ goods }}"}}}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings and a template."""
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text(
        '[accounts.main]\napp_id = "wx1"\ntoken = "sometoken"\nmode = "plain"\n'
    )
    (tmp_path / "templates").mkdir()
    Path("templates/order-shipped.toml").write_text(ORDER, encoding="utf-8")
    return tmp_path


def keep(**written: bytes) -> None:
    """Keep templates in the store, as the API does."""

    async def run() -> None:
        store = SqliteTemplates(Path("var/gateway.db"), timeout=5)
        for name, body in written.items():
            await store.put(name, body)
        await store.close()

    asyncio.run(run())


@pytest.mark.usefixtures("folder")
def test_sound_templates_are_listed(command: Command) -> None:
    ran = command("templates", "check")
    assert (ran.code, ran.err) == (0, "")
    assert "order-shipped" in ran.out
    assert "zh_CN, en" in ran.out
    assert ran.out.endswith("1 templates in templates, all sound\n")
    # To look is not to make a store.
    assert not Path("var").exists()


@pytest.mark.usefixtures("folder")
def test_a_preview_shows_what_a_user_would_see(command: Command) -> None:
    data = '{"number": "SF-1", "goods": "巧克力", "fen": 3980, "shipped": 1790000000}'
    ran = command("templates", "preview", "order-shipped", "--data", data)
    assert (ran.code, ran.err) == (0, "")
    for shown in ("¥39.80", "2026年09月21日 22:13", "pages/order?id=SF-1"):
        assert shown in ran.out


def test_what_is_wrong_is_a_line_each_and_exit_status_2(folder: Path, command: Command) -> None:
    ran = command("templates", "preview", "order-shipped", "--data", '{"number": "1"}')
    assert ran.code == 2
    assert "gateway: template order-shipped: thing2: 'goods' is undefined" in ran.err
    assert command("templates", "preview", "order-shipped", "--data", "[1").code == 2
    ran = command("templates", "preview", "nothing")
    assert ran.err == "gateway: template nothing: there is none; there are: order-shipped\n"
    (folder / "templates" / "b.toml").write_text("x = 1")
    ran = command("templates", "check")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("gateway: template b: ")


@pytest.mark.usefixtures("folder")
def test_templates_that_were_given_over_the_api_are_known(command: Command) -> None:
    keep(paid=PAID)
    ran = command("templates", "check")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[-1] for line in ran.out.splitlines()[1:3]] == ["file", "api"]
    assert ran.out.endswith("1 templates in templates, 1 given over the API, all sound\n")
    assert "Tea" in command("templates", "preview", "paid", "--data", '{"goods": "Tea"}').out
    keep(**{"order-shipped": PAID})
    assert "file, not the API's" in command("templates", "check").out
    shown = json.loads(command("templates", "show", "order-shipped").out)
    assert shown["template_id"] == msgspec.toml.decode(ORDER, type=TemplateFile).template_id


@pytest.mark.usefixtures("folder")
def test_what_the_store_has_is_checked_as_well(command: Command) -> None:
    keep(paid=PAID, bad=PAID.replace(b"goods }}", b"goods"), strange=b'{"x": 1}')
    ran = command("templates", "check")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 2)
    assert "gateway: template bad: fields.thing1: " in ran.err
    assert "gateway: template strange: Object " in ran.err
    ran = command("templates", "preview", "paid", "--data", '{"goods": "Tea"}')
    assert (ran.code, ran.err.count("\n")) == (0, 2)


def test_where_the_store_is_down_the_folder_is_known_and_a_warning_said(
    folder: Path, command: Command
) -> None:
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/gateway"
    with (folder / "gateway.toml").open("a") as settings:
        settings.write(f'[store]\npostgres_dsn = "{dsn}"\n')
    ran = command("templates", "check")
    assert (ran.code, "order-shipped" in ran.out, ran.err.count("\n")) == (0, True, 1)
    assert "so no template is known that was given over the API" in ran.err


@pytest.mark.usefixtures("folder")
def test_a_store_that_keeps_nothing_has_no_templates(command: Command) -> None:
    with Path("gateway.toml").open("a") as settings:
        settings.write('[store]\nurl = "memory://"\n')
    ran = command("templates", "check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("1 templates in templates, all sound\n")
