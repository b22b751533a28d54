"""No secret is ever shown: not in a refusal, not in what the settings print as."""

import json
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app.accounts import make_account
from gateway.errors import SettingsError
from gateway.settings import Settings, load_settings
from gateway.settings.sections import AccountSettings
from tests.settings.writing import ACCOUNT, write_account, write_toml
from tests.support import AES_KEY, OTHER_AES_KEY

MARK: Final = "MARKER"
SECRETS: Final = (
    "token",
    "previous_token",
    "encoding_aes_key",
    "previous_encoding_aes_key",
    "app_secret",
)

_PADDING = st.text(st.sampled_from("aZ9 =-+/{}[]\"'\\,.:#$%!\t令\x7f"), max_size=40)
_TEXTS = st.tuples(_PADDING, _PADDING).map(MARK.join) | st.sampled_from(
    [MARK, MARK.ljust(32, "x"), MARK.ljust(43, "x"), MARK.ljust(42, "x") + "=", MARK * 9]
)
_VALUES = _TEXTS | st.lists(_TEXTS, min_size=1, max_size=2) | st.fixed_dictionaries({"x": _TEXTS})
_MODES = st.sampled_from(["plain", "compat", "safe"])


def _shown(error: BaseException) -> list[str]:
    return [str(error), repr(error), *traceback.format_exception(error), repr(error.__cause__)]


def _printed(read: Settings) -> list[str]:
    return [
        *(str(read), repr(read), str(read.model_dump()), read.model_dump_json()),
        json.dumps(read.model_dump(mode="json")),
        *(
            f"{account.token} {account.app_secret} {account!r}"
            for account in read.accounts.values()
        ),
        *(repr(make_account(name, account)) for name, account in read.accounts.items()),
    ]


def _assert_hidden() -> None:
    """Read the settings; whatever comes of it, the marker must not be in it."""
    try:
        texts = _printed(load_settings())
    except SettingsError as error:
        texts = _shown(error)
    assert not [text for text in texts if MARK in text]


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    os.environ.update(values)
    try:
        yield
    finally:
        for name in values:
            del os.environ[name]


# The folder is written anew by each example.
_SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_secrets_are_all_the_fields_that_hide_what_they_hold() -> None:
    hidden = {
        name
        for name, field in AccountSettings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert hidden == set(SECRETS)


@_SHARED_FOLDER
@given(st.dictionaries(st.sampled_from(SECRETS), _VALUES, min_size=1), _MODES)
def test_no_secret_in_the_file_is_shown(values: dict[str, Any], mode: str) -> None:
    write_toml({"accounts": {"main": ACCOUNT | {"mode": mode} | values}})
    _assert_hidden()


@_SHARED_FOLDER
@given(st.dictionaries(st.sampled_from(SECRETS), _TEXTS, min_size=1), _MODES)
def test_no_secret_in_the_environment_is_shown(values: dict[str, str], mode: str) -> None:
    write_account(mode=mode)
    with _variables({f"GATEWAY_ACCOUNTS__MAIN__{k.upper()}": v for k, v in values.items()}):
        _assert_hidden()


@settings(_SHARED_FOLDER, max_examples=50)  # twelve readings each
@given(_TEXTS | st.dictionaries(st.sampled_from(SECRETS), _VALUES).map(json.dumps))
def test_no_secret_in_a_whole_section_is_shown(value: str) -> None:
    """Neither where it is JSON, nor where it is broken."""
    write_account()
    for name in ("GATEWAY_ACCOUNTS__MAIN", "GATEWAY_ACCOUNTS__MAIN__TOKEN__X", "GATEWAY_ACCOUNTS"):
        for text in (value, value[:-1], f'{{"main": {value}}}', f'{{"main": {{"token": {value}'):
            with _variables({name: text}):
                _assert_hidden()


@_SHARED_FOLDER
@given(st.dictionaries(st.sampled_from(SECRETS), _TEXTS, min_size=1))
def test_no_secret_in_a_mounted_file_is_shown(folder: Path, values: dict[str, str]) -> None:
    write_account()
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    for file in secrets.iterdir():
        file.unlink()
    for name, value in values.items():
        file = secrets / f"GATEWAY_ACCOUNTS__MAIN__{name.upper()}"
        file.write_text(value, encoding="utf-8")
    with _variables({"GATEWAY_SECRETS_DIR": str(secrets)}):
        _assert_hidden()


@_SHARED_FOLDER
@given(st.dictionaries(st.sampled_from(SECRETS), _TEXTS, min_size=1))
def test_no_secret_in_a_dotenv_file_is_shown(folder: Path, values: dict[str, str]) -> None:
    write_account()
    lines = (f"GATEWAY_ACCOUNTS__MAIN__{name.upper()}={v}\n" for name, v in values.items())
    (folder / ".env").write_text("".join(lines), encoding="utf-8")
    _assert_hidden()


@pytest.mark.parametrize(
    "line",
    [
        'token = "{}',
        "token = {}",
        "token = '{}'x",
        'token = """{}',
        'token = "\\{}"',
        "token = [{}",
        'token "{}"',
        'token = "{}"\ntoken = "{}"',
    ],
)
def test_no_secret_in_a_broken_file_is_shown(folder: Path, line: str) -> None:
    text = "[accounts.main]\n" + line.replace("{}", MARK)
    (folder / "gateway.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="not TOML"):
        load_settings()
    _assert_hidden()


def test_no_secret_in_a_file_that_is_not_utf8_is_shown(folder: Path) -> None:
    (folder / "gateway.toml").write_bytes(f'token = "{MARK}'.encode() + b"\xff")
    _assert_hidden()


def test_no_secret_beside_a_mistake_is_shown() -> None:
    """Also where the mistake is in another setting, or two settings do not fit each other."""
    secret = {"app_secret": MARK, "token": MARK, "previous_token": f"{MARK}2"}
    for wrong in (
        {"timestamp_window": "soon"},
        {"unknown": 1},
        {"app_id": None},
        {"encoding_aes_key": None},
        {"previous_token": MARK},
        {"previous_encoding_aes_key": AES_KEY},
    ):
        write_account(**(secret | wrong))
        with pytest.raises(SettingsError):
            load_settings()
        _assert_hidden()


def test_no_secret_is_logged_or_printed_while_reading(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    write_account(app_secret=MARK, token=MARK, previous_encoding_aes_key=OTHER_AES_KEY)
    load_settings()
    assert MARK not in caplog.text
    assert capfd.readouterr() == ("", "")
