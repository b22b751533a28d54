"""Every test of the command has a folder, an environment and a module path of its own."""

import os
import sys
from pathlib import Path

import pytest

from tests.cli.running import Command
from tests.support import AES_KEY, APP_ID, TOKEN

SETTINGS = f"""
[accounts.main]
app_id = "{APP_ID}"
token = "{TOKEN}"
encoding_aes_key = "{AES_KEY}"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds nothing but sound settings of one account."""
    for name in [name for name in os.environ if name.upper().startswith("GATEWAY_")]:
        if name != "GATEWAY_NO_EXTENSIONS":
            monkeypatch.delenv(name)
    # Wide enough that no line of help or of a finding is broken in two.
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, in this process."""
    return Command(monkeypatch, capsys)
