"""``gateway check`` and ``gateway doctor``: what is sound, what is not, and how to mend it."""

import os
from pathlib import Path

import pytest

from gateway.cli.check import PACKAGES
from gateway.demo import bot as demo_bot
from gateway.kernels import IMPLEMENTATION
from tests.cli.running import Command, run_process
from tests.support import AES_KEY, TOKEN


def _write(folder: Path, text: str, name: str = "gateway.toml") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_check_tells_each_accounts_url_and_the_bots_handlers(
    folder: Path, command: Command
) -> None:
    plain = '[accounts.shop]\napp_id = "wx2"\ntoken = "abc"\nmode = "plain"\n'
    _write(folder, (folder / "gateway.toml").read_text(encoding="utf-8") + plain)
    _write(
        folder,
        "from gateway import Bot, Text\nbot = Bot()\nbot.on(Text)(lambda m: None)\n",
        "checked_bot.py",
    )
    assert command("check") == (
        0,
        (
            "account main: safe mode, http://127.0.0.1:8000/wechat/main\n"
            "account shop: plain mode, http://127.0.0.1:8000/wechat/shop\n"
            f"bot gateway.demo:bot: {len(demo_bot.routes())} handlers\n"
        ),
        "",
    )
    ran = command("check", "checked_bot:bot")
    assert ran.code == 0
    assert ran.out.endswith("bot checked_bot:bot: 1 handler\n")


def test_check_reads_the_file_it_is_given(folder: Path, command: Command) -> None:
    (folder / "gateway.toml").rename(folder / "other.toml")
    assert command("check").code == 2
    assert command("check", "--config", "other.toml").code == 0
    assert command("check", "--config", "missing.toml") == (
        2,
        "",
        "gateway: missing.toml: no such file; give --config the path of a gateway.toml\n",
    )


def test_check_names_everything_that_is_wrong_with_the_settings(
    folder: Path, command: Command
) -> None:
    _write(folder, '[server]\nprot = 1\n[accounts.main]\napp_id = "wx1"\ntoken = "SECRET TOKEN"\n')
    ran = command("check")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "gateway: server.prot: no such setting; did you mean port?",
        (
            "gateway: accounts.main.token: must be 3 to 32 letters and digits; "
            "copy it from WeChat's console (also set by GATEWAY_ACCOUNTS__MAIN__TOKEN)"
        ),
    ]


@pytest.mark.parametrize(
    ("bot", "said"),
    [
        ("nowhere", "nowhere: name a bot as MODULE:BOT, such as shop.bot:bot"),
        (":bot", ":bot: name a bot as MODULE:BOT, such as shop.bot:bot"),
        ("nowhere:", "nowhere:: name a bot as MODULE:BOT, such as shop.bot:bot"),
        (
            "nowhere:bot",
            "nowhere:bot: there is no module nowhere here; run in the folder it is in",
        ),
        (
            "gateway.nowhere:bot",
            (
                "gateway.nowhere:bot: there is no module gateway.nowhere here; "
                "run in the folder it is in"
            ),
        ),
        (
            "gateway.demo:robot",
            "gateway.demo:robot: gateway.demo has no Bot called robot; it has: bot",
        ),
        ("json:bot", "json:bot: json has no Bot called bot; it has none: write bot = Bot()"),
        ("json:loads", "json:loads: json has no Bot called loads; it has none: write bot = Bot()"),
    ],
)
def test_a_bot_that_cannot_be_loaded_is_named(bot: str, said: str, command: Command) -> None:
    for name in ("check", "serve"):
        assert command(name, bot) == (2, "", f"gateway: {said}\n")


def test_a_handler_that_does_not_fit_is_named(folder: Path, command: Command) -> None:
    _write(
        folder,
        "from gateway import Bot, Text\nbot = Bot()\n"
        "@bot.on(Text)\nasync def both(message, number): ...\n",
        "misfit_bot.py",
    )
    ran = command("check", "misfit_bot:bot")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("gateway: misfit_bot.both: missing a required argument: 'number'; ")
    assert ran.err.count("\n") == 1


def test_what_a_bots_module_lacks_is_not_taken_for_the_module(folder: Path) -> None:
    """Its own failing import is its author's to see, with the traceback."""
    _write(folder, "import not_installed\n", "lacking_bot.py")
    ran = run_process("check", "lacking_bot:bot")
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert ran.err.endswith("ModuleNotFoundError: No module named 'not_installed'\n")


def test_doctor_finds_nothing_wrong_with_sound_settings(command: Command) -> None:
    ran = command("doctor")
    # Pure kernels are a problem too, where compiled ones could run.
    assert ran.code == (0 if IMPLEMENTATION == "compiled" else 1)
    lines = [line.split() for line in ran.out.splitlines()]
    found = {line[1]: line[0] for line in lines if line[0] in ("ok", "!!")}
    assert set(found) == {
        *("python", "wechat-gateway", "kernels", "aes", "settings", "workers", "sqlite", "spill"),
        *PACKAGES,
    }
    assert {name for name, mark in found.items() if mark == "!!"} <= {"kernels"}
    assert ["ok", "settings", "sound;", "accounts:", "main"] in lines
    assert ["ok", "kernels", "compiled"] in lines or IMPLEMENTATION == "pure"


def test_doctor_tells_which_kernels_run_and_how_to_have_the_others() -> None:
    ran = run_process("doctor", GATEWAY_NO_EXTENSIONS="1")
    assert ran.code == 1
    assert "pure Python, several times slower" in ran.out
    assert "unset GATEWAY_NO_EXTENSIONS for the compiled ones" in ran.out
    assert ran.err == ""


def test_doctor_names_each_problem_with_its_fix(folder: Path, command: Command) -> None:
    _write(folder, '[accounts.main]\napp_id = "wx1"\ntoken = "SECRET TOKEN"\nmode = "plain"\nx = 1')
    ran = command("doctor")
    assert ran.code == 1
    lines = [line.strip() for line in ran.out.splitlines()]
    assert [line.split() for line in lines].count(["!!", "settings", "refused"]) == 2
    assert any(line.startswith("accounts.main.token: must be 3 to 32 letters") for line in lines)
    assert any(line.startswith("accounts.main.x: no such setting; ") for line in lines)
    assert "SECRET" not in ran.out


def test_doctor_shows_what_stands_in_brackets(folder: Path, command: Command) -> None:
    """It is text, not the markup of the table that it stands in."""
    (folder / "gateway.toml").unlink()
    assert "write [accounts.main] into gateway.toml" in command("doctor").out
    _write(folder, '[accounts."[/]"]\ntoken = "abc"\n')
    assert "accounts.[/]: name accounts with" in command("doctor").out


def test_doctor_warns_of_more_workers_than_cores(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = os.cpu_count() or 1
    monkeypatch.setenv("GATEWAY_SERVER__WORKERS", "256")
    ran = command("doctor")
    assert ran.code == 1
    assert f"256 on {cores} cores" in ran.out
    assert f"set server.workers to {cores} or less" in ran.out


def test_both_tell_where_people_sign_in_and_the_doctor_how_many_are_known(
    folder: Path, command: Command
) -> None:
    account = """app_secret = "s3cret-of-wechat"
sign_in_hosts = ["shop.example", "shop.example:8443"]
[accounts.mini]
app_id = "wx2"
app_secret = "s3cret-of-wechat"
platform = "mini_program"
[identity]
secret = "not-a-secret-of-anybody-0123456789"
public_url = "https://wx.shop.example"
"""
    _write(folder, (folder / "gateway.toml").read_text(encoding="utf-8") + account)
    checked = command("check")
    assert checked.out.splitlines()[1:3] == [
        (
            "account main: https://wx.shop.example/oauth/main/authorize for pages of shop.example, "
            "shop.example:8443"
        ),
        "account mini: mini_program, users sign in to it",
    ]
    doctored = command("doctor")
    assert "people: 0, open ids: 0; pages sign in to: main" in doctored.out
    assert "secret-of" not in checked.out + doctored.out


def test_neither_shows_a_secret(command: Command) -> None:
    for name in ("check", "doctor"):
        ran = command(name)
        assert TOKEN not in ran.out + ran.err
        assert AES_KEY not in ran.out + ran.err
