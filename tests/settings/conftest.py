"""Every test of the settings has a folder and an environment of its own."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no setting in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("GATEWAY_")]:
        if name != "GATEWAY_NO_EXTENSIONS":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
