"""Where settings come from, and which source overrides which."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.errors import SettingsError
from gateway.protocol.account import Mode
from gateway.settings import load_settings
from gateway.settings.identity import IdentitySettings
from gateway.settings.sections import AccountSettings, ServerSettings
from tests.settings.writing import ACCOUNT, refusal, write_account, write_toml
from tests.support import AES_KEY, APP_ID, OTHER_AES_KEY, TOKEN

TOKEN_VARIABLE = "GATEWAY_ACCOUNTS__MAIN__TOKEN"


def _token(name: str = "main", config: Path | None = None) -> str:
    token = load_settings(config).accounts[name].token
    assert token is not None
    return token.get_secret_value()


def _write_secrets(folder: Path, values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = folder / "secrets"
    secrets.mkdir()
    for name, value in values.items():
        (secrets / name).write_text(value, encoding="utf-8")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(secrets))


def test_a_file_with_one_account_is_enough() -> None:
    write_account()
    settings = load_settings()
    assert settings.server == ServerSettings(
        host="127.0.0.1",
        port=8000,
        workers=1,
        max_body=65536,
        direct=True,
        scheduling="batch",
        log_level="info",
        log_format="auto",
    )
    assert settings.accounts == {
        "main": AccountSettings(
            app_id=APP_ID,
            token=SecretStr(TOKEN),
            encoding_aes_key=SecretStr(AES_KEY),
            mode=Mode.SAFE,
            app_secret=None,
            previous_token=None,
            previous_encoding_aes_key=None,
            original_id=None,
            timestamp_window=600,
        )
    }


def test_every_setting_can_stand_in_the_file() -> None:
    server = {
        "host": "0.0.0.0",  # noqa: S104 - read, not bound
        "port": 80,
        "workers": 4,
        "max_body": 4096,
        "direct": False,
        "scheduling": "normal",
        "log_level": "debug",
        "log_format": "json",
    }
    account = ACCOUNT | {
        "mode": "compat",
        "app_secret": "s3cret",
        "api_url": "http://127.0.0.1:8001/wechat",
        "token_source": "plain",
        "jssdk_hosts": ("shop.example", "shop.example:8443"),
        "platform": "official_account",
        "sign_in_hosts": ("shop.example", "127.0.0.1:8000", "[::1]:8000"),
        "authorize_url": "http://127.0.0.1:8001",
        "tenant": "Shop-1",
        "rates": {"template": "200/s", "custom": "60/min"},
        "previous_token": "tokenBefore",
        "previous_encoding_aes_key": OTHER_AES_KEY,
        "original_id": "gh_590e78004b5c",
        "timestamp_window": 0,
        "refuse_replays": False,
    }
    identity = {
        "secret": "s" * 32,
        "previous_secret": "p" * 32,
        "public_url": "https://wx.shop.example",
        "session_seconds": 3600,
        "session_max_seconds": 7200,
        "cache_seconds": 0.0,
        "cookie": "shop_session",
        "cookie_domain": "shop.example",
        "secure_cookies": False,
        "same_site": "strict",
        "learn_union_ids": False,
        "roles": {"staff": ("orders:read",)},
    }
    write_toml({"server": server, "identity": identity, "accounts": {"main": account}})
    settings = load_settings()
    assert settings.server.model_dump() == server
    assert identity == {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.identity.model_dump().items()
    }
    assert set(identity) == set(IdentitySettings.model_fields)
    read = settings.accounts["main"].model_dump()
    assert read["rates"] == {"template": (200.0, 200), "custom": (1.0, 1)}
    assert account | {"rates": read["rates"]} == {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in read.items()
    }
    assert set(server) == set(ServerSettings.model_fields)
    assert set(account) == set(AccountSettings.model_fields)


def test_a_later_source_overrides_an_earlier_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, then .env, then the environment, then the mounted secrets."""
    write_account(token="from-file")
    assert _token() == "from-file"
    (folder / ".env").write_text(f"{TOKEN_VARIABLE}=from-dotenv\n", encoding="utf-8")
    assert _token() == "from-dotenv"
    monkeypatch.setenv(TOKEN_VARIABLE, "from-environment")
    assert _token() == "from-environment"
    _write_secrets(folder, {TOKEN_VARIABLE: "from-secrets"}, monkeypatch)
    assert _token() == "from-secrets"


def test_sources_are_merged_setting_by_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toml({"server": {"port": 81}, "accounts": {"main": {"app_id": APP_ID}}})
    (folder / ".env").write_text("GATEWAY_SERVER__WORKERS=3\n", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_SERVER__HOST", "::1")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIN__ENCODING_AES_KEY", AES_KEY)
    monkeypatch.setenv("GATEWAY_ACCOUNTS__OTHER__APP_ID", "wx2")
    monkeypatch.setenv("GATEWAY_ACCOUNTS__OTHER__MODE", "plain")
    _write_secrets(
        folder,
        {TOKEN_VARIABLE: "abc", "GATEWAY_ACCOUNTS__OTHER__TOKEN": "def"},
        monkeypatch,
    )
    settings = load_settings()
    server = settings.server
    assert (server.host, server.port, server.workers) == ("::1", 81, 3)
    assert set(settings.accounts) == {"main", "other"}
    assert settings.accounts["other"].mode is Mode.PLAIN
    assert _token() == "abc"


@pytest.mark.parametrize("source", ["environment", ".env", "secrets"])
def test_no_file_is_needed(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {f"GATEWAY_ACCOUNTS__MAIN__{name.upper()}": value for name, value in ACCOUNT.items()}
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    elif source == ".env":
        lines = (f"{name}={value}\n" for name, value in values.items())
        (folder / ".env").write_text("".join(lines), encoding="utf-8")
    else:
        _write_secrets(folder, values, monkeypatch)
    assert _token() == TOKEN


def test_variables_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    monkeypatch.setenv("gateway_accounts__main__Token", "other")
    assert _token() == "other"


@pytest.mark.parametrize("text", ["12345678", "true", "null", "1e5", '{"a":1}', '"abc"', "[1]"])
def test_a_value_that_looks_like_json_is_still_text(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    monkeypatch.setenv(TOKEN_VARIABLE, text)
    assert _token() == text
    monkeypatch.delenv(TOKEN_VARIABLE)
    _write_secrets(folder, {TOKEN_VARIABLE: text}, monkeypatch)
    assert _token() == text


def test_a_section_may_be_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ACCOUNTS", json.dumps({"main": ACCOUNT}))
    monkeypatch.setenv("GATEWAY_SERVER", '{"port": 81}')
    assert _token() == TOKEN
    assert load_settings().server.port == 81


def test_a_secret_files_closing_line_end_is_not_part_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    _write_secrets(folder, {TOKEN_VARIABLE: "mounted\n"}, monkeypatch)
    assert _token() == "mounted"


def test_secrets_are_found_as_kubernetes_mounts_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a link to a link to a hidden folder; other files lie there too."""
    write_account()
    secrets = folder / "mounted"
    (secrets / "..2026_01_01").mkdir(parents=True)
    (secrets / "..2026_01_01" / TOKEN_VARIABLE).write_text("linked", encoding="utf-8")
    (secrets / "..data").symlink_to("..2026_01_01")
    (secrets / TOKEN_VARIABLE).symlink_to(f"..data/{TOKEN_VARIABLE}")
    (secrets / "other-programs-password").write_text("x", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(secrets))
    assert _token() == "linked"


def test_other_programs_variables_are_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    monkeypatch.setenv("SERVER__PORT", "81")
    monkeypatch.setenv("GATEWAYS", "x")
    lines = ("PORT=81", "SERVER__PORT=81", "accounts=x", "TOKEN", "# GATEWAY_X=1", "GATEWAYX=1")
    (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
    assert load_settings().server.port == 8000


def test_the_programs_own_switches_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    for name in ("GATEWAY_BOT", "GATEWAY_NO_EXTENSIONS", "GATEWAY_SANITIZE"):
        monkeypatch.setenv(name, "1")
    assert _token() == TOKEN


def test_the_file_is_the_one_given_then_the_variables_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_account(token="default")
    named = write_toml({"accounts": {"main": ACCOUNT | {"token": "variable"}}}, "named.toml")
    given = write_toml({"accounts": {"main": ACCOUNT | {"token": "argument"}}}, "given.toml")
    assert _token() == "default"
    monkeypatch.setenv("GATEWAY_CONFIG", str(named))
    assert _token() == "variable"
    assert _token(config=given) == "argument"


@pytest.mark.parametrize("named", ["missing.toml", "."])
def test_a_file_that_is_named_must_be_there(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    said = f"{Path(named)}: no such file; give --config the path of a gateway.toml"
    assert refusal(Path(named)) == said
    monkeypatch.setenv("GATEWAY_CONFIG", named)
    assert refusal() == said


@pytest.mark.parametrize("named", ["missing", "gateway.toml"])
def test_a_secrets_directory_that_is_named_must_be_one(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", named)
    assert refusal() == f"GATEWAY_SECRETS_DIR: {named} is no directory; mount it, or unset it"


def test_an_empty_variable_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    monkeypatch.setenv("GATEWAY_CONFIG", "")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", "")
    assert _token() == TOKEN


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    write_account()
    settings: Any = load_settings()
    for section, name in ((settings, "server"), (settings.server, "port")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, name, 1)


def test_each_load_reads_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    write_account()
    assert _token() == TOKEN
    monkeypatch.setenv(TOKEN_VARIABLE, "changed")
    assert _token() == "changed"
    monkeypatch.setenv(TOKEN_VARIABLE, "x")
    with pytest.raises(SettingsError):
        load_settings()


def test_what_kubernetes_sets_next_to_a_service_called_gateway_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_account()
    ports = ("PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "SERVICE_PORT", "SERVICE_PORT_HTTP")
    for name in ("GATEWAY_SERVICE_HOST", *(f"GATEWAY_{port}" for port in ports)):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8000")
    assert _token() == TOKEN
