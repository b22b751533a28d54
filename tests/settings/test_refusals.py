"""What is wrong with settings is said by the setting's name, with what to do about it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings
from tests.settings.writing import ACCOUNT, refusal, write_account, write_toml
from tests.support import AES_KEY, OTHER_AES_KEY, TOKEN

_SERVER = "host, port, workers, max_body, direct, scheduling, log_level, log_format"
_FIX = "copy it from WeChat's console"


def _set_by(name: str) -> str:
    return f"(also set by GATEWAY_{name.replace('.', '__').upper()})"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("port", 0, "input should be greater than or equal to 1"),
        ("port", 65536, "input should be less than or equal to 65535"),
        ("port", "http", "input should be a valid integer"),
        ("workers", 0, "input should be greater than or equal to 1"),
        ("workers", 257, "input should be less than or equal to 256"),
        ("max_body", 1023, "input should be greater than or equal to 1024"),
        ("max_body", 2**20 + 1, "input should be less than or equal to 1048576"),
        ("scheduling", "idle", "input should be 'batch' or 'normal'"),
        ("direct", "perhaps", "input should be a valid boolean, unable to interpret input"),
        ("log_level", "loud", "input should be 'debug', 'info', 'warning' or 'error'"),
        ("host", 1, "input should be a valid string"),
    ],
)
@pytest.mark.parametrize("source", ["file", "environment", ".env", "secrets"])
def test_a_server_setting_out_of_range_is_refused(
    setting: str,
    value: Any,
    said: str,
    source: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = f"GATEWAY_SERVER__{setting.upper()}"
    write_account()
    if source == "file":
        write_toml({"server": {setting: value}, "accounts": {"main": ACCOUNT}})
    elif setting == "host":
        monkeypatch.setenv(f"{variable}__X", str(value))
    elif source == "environment":
        monkeypatch.setenv(variable, str(value))
    elif source == ".env":
        (folder / ".env").write_text(f"{variable}={value}", encoding="utf-8")
    else:
        (folder / "secrets").mkdir()
        (folder / "secrets" / variable).write_text(str(value), encoding="utf-8")
        monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    line = refusal()
    assert line.startswith(f"server.{setting}: {said}")
    assert line.endswith(_set_by(f"server.{setting}"))


@pytest.mark.parametrize(
    ("changes", "setting", "said"),
    [
        ({"app_id": ""}, "app_id", "string should have at least 1 character"),
        ({"app_id": "x" * 65}, "app_id", "string should have at most 64 characters"),
        ({"app_id": "wx 1"}, "app_id", "string should match pattern"),
        ({"app_id": "wx公众号"}, "app_id", "string should match pattern"),
        ({"app_id": "wx1\n"}, "app_id", "string should match pattern"),
        *(
            ({name: token}, name, f"must be 3 to 32 letters and digits; {_FIX}")
            for name in ("token", "previous_token")
            for token in ("", "ab", "x" * 33, "with blank", "令牌令牌", "tab\tbed", "end\n")
        ),
        *(
            ({"mode": "safe", name: key}, name, said)
            for name in ("encoding_aes_key", "previous_encoding_aes_key")
            for key, said in [
                ("", f"has 0 characters; it must have 43; {_FIX}"),
                (AES_KEY[:-1], f"has 42 characters; it must have 43; {_FIX}"),
                (AES_KEY + "=", f"has 44 characters; it must have 43; {_FIX}"),
                (
                    "密" * 43,
                    f"must consist of the letters A-Z and a-z and the digits 0-9; {_FIX}",
                ),
                (
                    AES_KEY[:-1] + "-",
                    f"must consist of the letters A-Z and a-z and the digits 0-9; {_FIX}",
                ),
            ]
        ),
        ({"mode": "Safe"}, "mode", "input should be 'plain', 'compat' or 'safe'"),
        ({"original_id": ""}, "original_id", "string should match pattern"),
        ({"original_id": "gh 1"}, "original_id", "string should match pattern"),
        ({"timestamp_window": -1}, "timestamp_window", "input should be greater than or equal"),
        ({"timestamp_window": "soon"}, "timestamp_window", "input should be a valid integer"),
        ({"token": 12345}, "token", "input should be a valid string"),
        ({"token": ["abc"]}, "token", "input should be a valid string"),
        ({"encoding_aes_key": 1}, "encoding_aes_key", "input should be a valid string"),
        ({"app_secret": {"a": "b"}}, "app_secret", "input should be a valid string"),
        *(
            (
                {"encoding_aes_key": None, "mode": mode},
                "encoding_aes_key",
                (
                    f"is missing, which {mode or 'safe'} mode needs; {_FIX}, "
                    'or set mode = "plain" there and here'
                ),
            )
            for mode in ("safe", "compat", None)
        ),
        (
            {"previous_token": TOKEN},
            "previous_token",
            "is the same as token; remove it",
        ),
        (
            {"previous_encoding_aes_key": AES_KEY},
            "previous_encoding_aes_key",
            "is the same as encoding_aes_key; remove it",
        ),
        (
            {
                "mode": "plain",
                "encoding_aes_key": None,
                "previous_encoding_aes_key": OTHER_AES_KEY,
            },
            "encoding_aes_key",
            "is missing beside previous_encoding_aes_key; give the current key too",
        ),
    ],
    ids=str,
)
def test_an_account_that_is_wrong_is_refused(
    changes: dict[str, Any], setting: str, said: str
) -> None:
    write_account(**changes)
    line = refusal()
    assert line.startswith(f"accounts.main.{setting}: {said}")
    assert line.endswith(_set_by(f"accounts.main.{setting}"))
    assert "\n" not in line


def test_what_an_account_needs_is_named() -> None:
    write_account(app_id=None, token=None)
    variable = "GATEWAY_ACCOUNTS__MAIN__"
    assert refusal().splitlines() == [
        f"accounts.main.app_id: missing; set it in gateway.toml or as {variable}APP_ID",
        (
            "accounts.main.token: missing; copy it from WeChat's console "
            f"(also set by {variable}TOKEN)"
        ),
    ]


def test_plain_mode_needs_no_key() -> None:
    write_account(mode="plain", encoding_aes_key=None)
    assert load_settings().accounts["main"].encoding_aes_key is None


@pytest.mark.parametrize("mode", ["plain", "compat", "safe"])
def test_a_rotation_may_be_under_way(mode: str) -> None:
    write_account(mode=mode, previous_token="before", previous_encoding_aes_key=OTHER_AES_KEY)
    account = load_settings().accounts["main"]
    assert account.previous_token is not None
    assert account.previous_token.get_secret_value() == "before"
    assert account.previous_encoding_aes_key is not None
    assert account.previous_encoding_aes_key.get_secret_value() == OTHER_AES_KEY


def test_everything_wrong_is_said_at_once() -> None:
    write_toml(
        {
            "server": {"port": 0, "prot": 1},
            "accounts": {
                "main": ACCOUNT | {"token": "x"},
                "other": ACCOUNT | {"encoding_aes_key": "x"},
            },
        }
    )
    names = [line.partition(":")[0] for line in refusal().splitlines()]
    assert sorted(names) == [
        "accounts.main.token",
        "accounts.other.encoding_aes_key",
        "server.port",
        "server.prot",
    ]


NO_ACCOUNT = (
    "accounts: none is configured; write [accounts.main] into gateway.toml (the README shows how), "
    "or run `gateway demo` to look around"
)


def test_without_an_account_the_way_to_one_is_shown() -> None:
    assert refusal() == NO_ACCOUNT
    write_toml({"server": {"port": 81}})
    assert refusal() == NO_ACCOUNT
    write_toml({"accounts": {}})
    assert refusal() == NO_ACCOUNT


@pytest.mark.parametrize("accounts", [3, "main", [ACCOUNT]])
def test_accounts_must_be_a_table(accounts: Any) -> None:
    write_toml({"accounts": accounts})
    assert refusal() == f"accounts: input should be a valid dictionary {_set_by('accounts')}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sever", "sever: no such setting; did you mean server?"),
        ("server.prot", "server.prot: no such setting; did you mean port?"),
        ("server.zzz", f"server.zzz: no such setting; there are: {_SERVER}"),
        (
            "accounts.main.tokens",
            "accounts.main.tokens: no such setting; did you mean token?",
        ),
        (
            "accounts.main.aes_key",
            "accounts.main.aes_key: no such setting; did you mean encoding_aes_key?",
        ),
    ],
)
@pytest.mark.parametrize("source", ["file", "environment", ".env", "secrets"])
def test_an_unknown_setting_is_refused(
    setting: str, said: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"GATEWAY_{setting.replace('.', '__').upper()}"
    tree: dict[str, Any] = {"accounts": {"main": dict(ACCOUNT)}}
    if source == "file":
        *sections, name = setting.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = "x"
    write_toml(tree)
    if source == "environment":
        monkeypatch.setenv(variable, "x")
    elif source == ".env":
        (folder / ".env").write_text(f"OTHER=1\n{variable}=x\n", encoding="utf-8")
    elif source == "secrets":
        (folder / "secrets").mkdir()
        (folder / "secrets" / variable).write_text("x", encoding="utf-8")
        monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    if source != "file" and "." not in setting:
        # It may be meant for another program, and so is named whole.
        said = "GATEWAY_SEVER: no such setting; did you mean SERVER?"
    assert refusal() == said


@pytest.mark.parametrize(
    "variable", ["GATEWAY_HOST", "GATEWAY_TOKEN", "GATEWAY_SERVER_PORT", "GATEWAY_", "GATEWAY_X__Y"]
)
def test_a_variable_that_looks_like_a_setting_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    monkeypatch.setenv(variable, "x")
    assert refusal().startswith(f"{variable}: no such setting; ")


@pytest.mark.parametrize("name", ["main", "m", "shop2", "my-shop", "my_shop", "a-b_c", "0"])
def test_an_account_may_be_called_so(name: str) -> None:
    write_toml({"accounts": {name: ACCOUNT}})
    assert list(load_settings().accounts) == [name]


@pytest.mark.parametrize(
    "name", ["", "Main", "a b", "a/b", "-a", "a-", "a--b", "a__b", "账号", "..", "a\n", "a?b"]
)
def test_an_account_may_not_be_called_so(name: str) -> None:
    """The name stands in the callback's path, and in the names of variables."""
    write_toml({"accounts": {name: ACCOUNT}})
    assert refusal() == (
        f"accounts.{name}: name accounts with lower-case letters, digits, and - or _ between them"
    )


def test_what_is_not_toml_is_refused_with_its_place() -> None:
    path = write_account()
    path.write_text("[server]\nport 8000\n", encoding="utf-8")
    assert refusal().startswith("gateway.toml: not TOML: ")
    assert "line 2" in refusal()
    assert refusal(path).startswith(f"{path}: not TOML: ")


@pytest.mark.parametrize("file", ["gateway.toml", ".env", "secrets/GATEWAY_SERVER__HOST"])
def test_a_file_that_is_not_utf8_is_named(
    file: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    (folder / "secrets").mkdir()
    (folder / "secrets" / "GATEWAY_SERVER__PORT").write_text("8001", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    (folder / file).write_bytes(b"# \xff\xfe\n")
    assert refusal() == f"{file}: not UTF-8; save it as UTF-8"


@pytest.mark.parametrize(
    ("section", "example"), [("SERVER", "SERVER__PORT"), ("ACCOUNTS", "ACCOUNTS__MAIN__TOKEN")]
)
@pytest.mark.parametrize("source", ["environment", ".env", "secrets"])
def test_a_whole_section_in_one_variable_must_be_json(
    section: str, example: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    if source == "environment":
        monkeypatch.setenv(f"GATEWAY_{section}", "{")
    elif source == ".env":
        (folder / ".env").write_text(f"GATEWAY_{section}=main\n", encoding="utf-8")
    else:
        (folder / "secrets").mkdir()
        (folder / "secrets" / f"GATEWAY_{section}").write_text("main", encoding="utf-8")
        monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    assert refusal() == (
        f"{section.lower()}: GATEWAY_{section} is not JSON; "
        f"set what is in it one by one, as GATEWAY_{example}"
    )


def test_an_account_in_one_variable_must_be_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ACCOUNTS__MAIN", "{")
    assert refusal().startswith("accounts.main: input should be a valid dictionary")


def test_a_secrets_directory_of_any_size_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    (folder / "secrets").mkdir()
    with (folder / "secrets" / "core").open("wb") as huge:
        huge.truncate(1 << 30)
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    assert refusal().startswith("GATEWAY_SECRETS_DIR: ")


@pytest.mark.parametrize("name", ["GATEWAY_CONFIG", "GATEWAY_BOT", "GATEWAY_SECRETS_DIR"])
def test_what_is_read_before_dotenv_cannot_be_set_in_it(name: str) -> None:
    Path(".env").write_text(f"{name}=elsewhere\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"^{name}: no setting, so \.env cannot set it"):
        load_settings()


def test_a_directory_of_secrets_without_one_of_ours_is_a_mistake(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_account()
    (folder / "secrets").mkdir()
    (folder / "secrets" / "ACCOUNTS__MAIN__TOKEN").write_text("tokenOfFile", encoding="utf-8")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", "secrets")
    assert refusal() == (
        "GATEWAY_SECRETS_DIR: secrets holds no secret of the gateway; name files like "
        "GATEWAY_ACCOUNTS__MAIN__TOKEN"
    )
