"""What ``serve`` and ``simulate`` refuse to begin, and whom and where ``simulate`` means."""

import socket
from pathlib import Path

import pytest

from gateway.cli.options import callback_url, pick_account
from gateway.cli.sending import make_sender
from gateway.errors import SettingsError
from gateway.protocol.account import Mode, decode_aes_key
from gateway.settings import Settings, load_settings
from tests.cli.running import Command, run_process
from tests.support import AES_KEY, APP_ID, TOKEN

PLAIN = '[accounts.shop]\napp_id = "wx2"\ntoken = "abc"\nmode = "plain"\n'


def _settings(monkeypatch: pytest.MonkeyPatch, folder: Path, **server: str) -> Settings:
    """Return settings with the accounts main, in safe mode, and shop, in plain mode."""
    with (folder / "gateway.toml").open("a", encoding="utf-8") as file:
        file.write(PLAIN)
    for name, value in server.items():
        monkeypatch.setenv(f"GATEWAY_SERVER__{name.upper()}", value)
    return load_settings()


def test_serve_refuses_a_busy_port_in_one_line() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ran = run_process("serve", "--port", str(port))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "give another --host or --port\n"
    )


def test_demo_refuses_a_busy_port_and_calls_nobody_there() -> None:
    """Another gateway may listen there, that would be taken for its own."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        busy.settimeout(0)
        port = busy.getsockname()[1]
        ran = run_process("demo", "--port", str(port))
        with pytest.raises(BlockingIOError):
            busy.accept()
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"gateway: cannot listen on 127.0.0.1:{port}: ")
    assert ran.err.count("\n") == 1


def test_demo_wants_its_own_account(folder: Path) -> None:
    (folder / "other.toml").write_text(PLAIN, encoding="utf-8")
    (folder / "gateway.toml").unlink()
    assert run_process("demo", "--config", "other.toml") == (
        2,
        "",
        "gateway: other.toml: has no account called demo; give another file as --config\n",
    )


def test_demo_makes_up_secrets_that_only_its_owner_can_read(folder: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        assert run_process("demo", "--port", str(busy.getsockname()[1])).code == 2
    made = folder / "var" / "demo.toml"
    assert made.stat().st_mode & 0o777 == 0o600
    settings = load_settings(made)
    assert "demo" in settings.accounts


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_serve_refuses_a_host_that_is_not_this_machines(host: str) -> None:
    ran = run_process("serve", "--host", host)
    assert (ran.code, ran.out) == (2, "")
    shown = f"[{host}]" if ":" in host else host
    assert ran.err.startswith(f"gateway: cannot listen on {shown}:8000: ")
    assert ran.err.count("\n") == 1


def test_serve_and_simulate_refuse_wrong_settings(folder: Path, command: Command) -> None:
    (folder / "gateway.toml").unlink()
    for arguments in (("serve",), ("simulate", "text", "hi"), ("simulate", "verify")):
        ran = command(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("gateway: accounts: none is configured; ")
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            (
                ("text", "hi", "--account", "main", "--mode", "plain", "--bad", fault),
                f"--bad {fault} needs a sealed body; add --mode safe",
            )
            for fault in ("padding", "appid")
        ),
        (
            ("text", "hi", "--account", "shop", "--bad", "padding"),
            "--bad padding needs a sealed body; add --mode safe",
        ),
        *(
            (
                ("text", "hi", "--account", "shop", "--mode", mode),
                f"--mode {mode} needs accounts.shop.encoding_aes_key",
            )
            for mode in ("compat", "safe")
        ),
        (
            ("text", "hi", "--account", "nobody"),
            "which account? give --account, one of: main, shop",
        ),
        (("text", "hi"), "which account? give --account, one of: main, shop"),
        (
            ("event", "CLICK", "--url", "http://127.0.0.1:1/wechat"),
            "which account? give --account, one of: main, shop",
        ),
        (
            ("verify", "--account", "main", "--bad", "signature"),
            "--bad spoils messages and events; verify sends a sound request only",
        ),
    ],
    ids=str,
)
def test_simulate_refuses_what_it_cannot_send(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _settings(monkeypatch, folder)
    assert command("simulate", *arguments) == (2, "", f"gateway: {said}\n")


@pytest.mark.parametrize(
    ("wanted", "url", "picked"),
    [
        ("shop", None, "shop"),
        ("shop", "http://127.0.0.1:8000/wechat/main", "shop"),
        (None, "http://127.0.0.1:8000/wechat/main", "main"),
        (None, "https://example.com/behind/proxy/shop/", "shop"),
        (None, "http://[::1]:8000/wechat/shop?tenant=main", "shop"),
    ],
)
def test_the_account_is_the_one_named_or_the_one_in_the_url(
    wanted: str | None,
    url: str | None,
    picked: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pick_account(_settings(monkeypatch, folder), wanted, url) == picked


@pytest.mark.parametrize("url", [None, "http://127.0.0.1/wechat", "http://x/other"])
def test_the_only_account_need_not_be_named(url: str | None) -> None:
    assert pick_account(load_settings(), None, url) == "main"


@pytest.mark.parametrize(
    ("wanted", "url"),
    [(None, None), (None, "http://x/wechat"), ("nobody", None), ("nobody", "http://x/wechat/main")],
)
def test_an_account_that_is_not_clear_is_asked_for(
    wanted: str | None, url: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        SettingsError, match=r"^which account[?] give --account, one of: main, shop$"
    ):
        pick_account(_settings(monkeypatch, folder), wanted, url)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - read, not bound
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("fe80::1", "[fe80::1]"),
        ("gateway.internal", "gateway.internal"),
    ],
)
def test_the_url_is_one_that_this_machine_can_call(
    host: str, shown: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(monkeypatch, folder, host=host, port="8080")
    assert callback_url(settings, "shop") == f"http://{shown}:8080/wechat/shop"


def test_the_sender_signs_and_seals_as_the_accounts_settings_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(monkeypatch, folder)
    sender = make_sender(settings, "main")
    assert (sender.app_id, sender.token, sender.mode) == (APP_ID, TOKEN.encode(), Mode.SAFE)
    assert (sender.aes_key, sender.as_json) == (decode_aes_key(AES_KEY), False)
    plain = make_sender(settings, "shop", as_json=True)
    assert (plain.app_id, plain.token, plain.mode) == ("wx2", b"abc", Mode.PLAIN)
    assert (plain.aes_key, plain.as_json) == (None, True)
    assert TOKEN not in repr(sender)


def test_simulate_fails_where_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ran = run_process("simulate", "text", "hi", "--url", f"http://127.0.0.1:{port}/wechat/main")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert ran.out.count("gateway ->") == 3
