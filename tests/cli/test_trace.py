"""``gateway trace``: what it says where nothing is known, and where nothing can be."""

from pathlib import Path

import pytest

from tests.cli.running import Command
from tests.services import free_port

SETTINGS = '[accounts.main]\napp_id = "wx0123456789abcdef"\ntoken = "trace"\nmode = "plain"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings."""
    (tmp_path / "gateway.toml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("id_", ["ab" * 16, "AB" * 16, "0199c7a2-0000", "no id at all"])
def test_of_what_is_not_known_it_says_how_long_it_would_be(
    folder: Path, command: Command, id_: str
) -> None:
    ran = command("trace", id_)
    assert (ran.code, ran.out) == (1, "")
    assert f"nothing is known of {id_}" in ran.err
    assert "store.dedupe_seconds" in ran.err
    assert "store.archive" in ran.err


def test_memory_cannot_be_looked_at_from_another_process(folder: Path, command: Command) -> None:
    settings = SETTINGS + '[store]\nurl = "memory://"\n'
    (folder / "gateway.toml").write_text(settings, encoding="utf-8")
    ran = command("trace", "ab" * 16)
    assert (ran.code, ran.out) == (2, "")
    assert "memory://" in ran.err


def test_a_store_that_is_down_is_said_to_be(folder: Path, command: Command) -> None:
    settings = SETTINGS + f'[store]\nredis_url = "redis://127.0.0.1:{free_port()}"\n'
    (folder / "gateway.toml").write_text(settings, encoding="utf-8")
    ran = command("trace", "ab" * 16)
    assert (ran.code, ran.out) == (1, "")
    assert "Redis" in ran.err
