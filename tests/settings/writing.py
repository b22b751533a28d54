"""Settings files and their refusals, for the tests."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.support import AES_KEY, APP_ID, TOKEN

ACCOUNT: Final[dict[str, Any]] = {"app_id": APP_ID, "token": TOKEN, "encoding_aes_key": AES_KEY}


def write_toml(tree: dict[str, Any], file: str = "gateway.toml") -> Path:
    """Write a settings file into the working directory."""
    path = Path(file)
    lines = (f"{json.dumps(name)} = {_toml(value)}\n" for name, value in tree.items())
    path.write_text("".join(lines), encoding="utf-8")
    return path.absolute()


def write_account(**changes: Any) -> Path:
    """Write a settings file with the account ``main``; None leaves a setting out."""
    account = {k: v for k, v in (ACCOUNT | changes).items() if v is not None}
    return write_toml({"accounts": {"main": account}})


def refusal(config: Path | None = None) -> str:
    """Return what is said when the settings are refused; fail where they are not."""
    with pytest.raises(SettingsError) as wrong:
        load_settings(config)
    # The original error would show values, so nothing may lead back to it.
    assert wrong.value.__cause__ is None
    return str(wrong.value)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON's texts, numbers and booleans are TOML's; DEL alone TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
