"""`gateway templates`, as a person uses it."""

from pathlib import Path

import pytest

from tests.cli.running import Command
from tests.outbound.test_templates import ORDER


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


@pytest.mark.usefixtures("folder")
def test_sound_templates_are_listed(command: Command) -> None:
    ran = command("templates", "check")
    assert (ran.code, ran.err) == (0, "")
    assert "order-shipped" in ran.out
    assert "zh_CN, en" in ran.out
    assert ran.out.endswith("1 templates in templates, all sound\n")


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
