"""The README's sections, run as they stand there against the simulator."""

import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from gateway.simulator.documents import USER
from tests.cli.running import Command
from tests.e2e.platform import platform
from tests.e2e.server import ACCOUNTS, ROOT, running, start, wait_until_ready
from tests.e2e.signing_in import Place
from tests.e2e.test_background import _until
from tests.e2e.test_sinks import Endpoint
from tests.services import Database, RedisServer, free_port

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS: Final = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE))

MAIN: Final = ACCOUNTS.partition("[accounts.compat]")[0]
"""The settings of "Safe mode in five lines", with what a console would say."""


def block(section: str, language: str) -> str:
    """Return the first piece of code in a language in a section."""
    found = re.search(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)
    assert found is not None
    return found[1]


def write_shop(folder: Path) -> None:
    """Put the README's handlers together as it says, with one of events that notes them."""
    head, _, echo = block("A bot in six lines", "python").partition("@bot.on")
    head = head.replace("import Bot, Text", "import Bot, Context, Text")
    later = block("Slow work, in the background", "python").replace("sleep(10)", "sleep(0.1)")
    later += "\n\n" + block("Push", "python")
    noted = """
@bot.on_event("order/*")
async def note(event):
    open("noted", "a").write(f"{event.type} {event.data}\\n")
"""
    shop = f"import asyncio, re\n{head}{later}\n\n@bot.on{echo}{noted}"
    (folder / "shop.py").write_text(shop, encoding="utf-8")


def commands(section: str) -> list[str]:
    """Return the commands of a section, in order."""
    blocks = re.findall(r"```console\n(.*?)```", SECTIONS[section], re.DOTALL)
    return [line for shown in blocks for line in re.findall(r"^\$ (.*)$", shown, re.MULTILINE)]


def gateway(folder: Path, port: int, *arguments: str) -> str:
    """Run the command in a folder, for the gateway on a port; return what it says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "GATEWAY_SERVER__PORT": str(port)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def test_a_background_handler_s_user_is_told_to_wait_and_its_reply_is_kept(tmp_path: Path) -> None:
    write_shop(tmp_path)
    with running("shop", tmp_path, MAIN) as server:
        assert "你说：你好" in gateway(tmp_path, server.port, "simulate", "text", "你好")
        assert "正在查询…" in gateway(tmp_path, server.port, "simulate", "text", "查询 A17")
        _until(lambda: "customer_service" in gateway(tmp_path, server.port, "inbox", "status"))
    with sqlite3.connect(tmp_path / "var" / "gateway.db") as database:
        ((job,),) = database.execute("SELECT body FROM entries WHERE lane = 'customer_service'")
    assert "A17 已发货" in job.decode()


def test_a_follower_s_event_is_forwarded_and_other_services_send_theirs(tmp_path: Path) -> None:
    section = "Events for everybody else"
    sink = block(section, "toml")
    secret = re.findall(r"whsec_[\w=+/]+", sink)[0]
    write_shop(tmp_path)
    with Endpoint(secret).listening() as endpoint:
        sink = sink.replace("9000", str(endpoint.port))
        producer = f'[producers.shop]\nsecret = "{secret}"\n'
        with running("shop", tmp_path, MAIN + producer + sink) as server:
            gateway(tmp_path, server.port, "simulate", "event", "subscribe")
            _until(lambda: endpoint.events)
            assert endpoint.events[0]["type"] == "user.subscribed"
            post = block(section, "python").replace("8000", str(server.port))
            imports = (
                "import urllib.request, standardwebhooks\nfrom datetime import UTC, datetime\n"
            )
            exec(imports + post, {"secret": secret})  # noqa: S102 - our own document
            noted = tmp_path / "noted"
            _until(lambda: noted.exists() and noted.read_text())
    assert noted.read_text() == "order/paid {'order': 'A17'}\n"


class Desk:
    """Where the README's commands are typed: the gateway's own run in this process."""

    def __init__(self, command: Command, ports: dict[str, int]) -> None:
        """``ports`` are the real ones, by those that the README names."""
        self._command = command
        self._ports = ports

    def __call__(self, line: str) -> str:
        """Run a line in the working directory; return what it says."""
        for shown, real in self._ports.items():
            line = line.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{real}")
        if line.startswith("gateway "):
            own = self._command(*shlex.split(line, comments=True)[1:])
            assert own.code == 0, (line, own)
            return own.out
        ran = subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60)
        assert ran.returncode == 0, (line, ran)
        return ran.stdout.decode()


def test_messages_are_pushed_and_their_ends_are_read(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_push(tmp_path)
    monkeypatch.chdir(tmp_path)
    api = free_port()
    settings = f'{MAIN}app_secret = "any"\napi_url = "http://127.0.0.1:{api}"\n'
    typed = iter(commands("Push"))
    (tmp_path / "gateway.toml").write_text(settings, encoding="utf-8")
    key, _, section = Desk(command, {})(commands("Push")[5]).partition("\n")
    with (
        running("shop", tmp_path, settings + section) as server,
        platform(tmp_path, api, server.port) as wechat,
    ):
        desk = Desk(command, {"8000": server.port, "8001": api})
        monkeypatch.setenv("GATEWAY_SERVER__PORT", str(server.port))
        monkeypatch.setenv("KEY", key)
        assert "all sound" in desk(next(typed))
        assert next(typed).startswith("gateway simulate platform ")
        desk(next(typed))
        assert "已通知" in desk(next(typed))
        sent = desk(next(typed))
        assert re.search(r"state +delivered", sent)
        assert next(typed).startswith("gateway api-key new ")
        assert '"state":"queued"' in desk(next(typed))
        _until(lambda: len(wechat.received(USER)) == 3)
        fields = [body["data"]["character_string1"]["value"] for body in wechat.received(USER)]
        assert sorted(fields) == ["A17", "A18", "A19"]
        assert "3,000 would be queued, 0 refused" in desk(next(typed))
        assert "delivered: 3,000 (100.0%)" in desk(next(typed))
        assert "delivered" in desk(next(typed).replace(" ID ", f" {sent.split()[0]} "))
        assert "0 of 0" in desk(next(typed))
        assert "3,003" in desk(next(typed))
        assert "nothing waits; dead letters: 0" in desk(next(typed))
        assert "0 of 0" in desk(next(typed))
        assert "0 messages would be queued again" in desk(next(typed))
        assert next(typed, None) is None


def write_push(folder: Path) -> None:
    """Put the README's bot, template and CSV into a folder."""
    write_shop(folder)
    (folder / "templates").mkdir()
    template = folder / "templates" / "order-shipped.toml"
    template.write_text(block("Push", "toml"), encoding="utf-8")
    rows = "".join(f"oUser{number:024d},B{number},茶\n" for number in range(3000))
    (folder / "orders.csv").write_text(f"to,number,goods\n{rows}", encoding="utf-8")


def test_in_production_redis_and_postgres_keep_everything(
    tmp_path: Path, redis_process: RedisServer, postgres: Database
) -> None:
    store = block("Going to production", "toml")
    redis_url = redis_process.url.removesuffix("/0") + "/9"
    store = re.sub(r'"redis://.*?"', f'"{redis_url}"', store)
    store = re.sub(r'"postgresql://.*?"', f'"{postgres.dsn}"', store)
    write_shop(tmp_path)
    (tmp_path / "gateway.toml").write_text(MAIN + store, encoding="utf-8")
    assert "applied: 0001" in gateway(tmp_path, 8000, "migrate")
    assert "a crash" in gateway(tmp_path, 8000, "doctor")
    kinds = "SELECT kind FROM gateway_archive"
    with running("shop", tmp_path, MAIN + store) as server:
        assert "正在查询…" in gateway(tmp_path, server.port, "simulate", "text", "查询 A17")
        _until(lambda: [row["kind"] for row in postgres.run(kinds)] == ["Text"])
        _until(lambda: "customer_service" in gateway(tmp_path, server.port, "inbox", "status"))


def test_a_user_signs_in_and_routes_and_handlers_know_them(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, port, api = "Sign users in", free_port(), free_port()
    head, _, echo = block("A bot in six lines", "python").partition("@bot.on")
    head = head.replace("import Bot, Text", "import Bot, Context, Text")
    shop = f"{head}\n{block(section, 'python')}\n\n@bot.on{echo}"
    (tmp_path / "shop.py").write_text(shop, encoding="utf-8")
    identity, account = re.findall(r"```toml\n(.*?)```", SECTIONS[section], re.DOTALL)
    own = f'app_secret = "any"\napi_url = "http://127.0.0.1:{api}"\n'
    settings = MAIN + own + account + identity
    settings = settings.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("8001", str(api))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_SERVER__PORT", str(port))
    with contextlib.ExitStack() as running_servers:
        server = start("shop", tmp_path, settings, port)
        running_servers.callback(server.kill)
        wait_until_ready(server)
        wechat = running_servers.enter_context(platform(tmp_path, api, port))
        place = Place(server, wechat, tmp_path, 0, server.url)
        browser = place.browser()
        assert browser.go(f"{server.url}/me").status == 401
        back = browser.go(browser.agree(browser.begin(redirect=f"{server.url}/me")))
        assert back.header("location") == f"{server.url}/me"
        me = browser.go(f"{server.url}/me").told
        assert me["roles"] == []
        said = Desk(command, {})('gateway simulate text "我是谁"')
        assert me["person"] in said
        desk = Desk(command, {})
        typed = [line.replace(" ID ", f" {me['person']} ") for line in commands(section)]
        typed = [re.sub(r" ID$", f" {me['person']}", line.split("#")[0].strip()) for line in typed]
        desk(typed[0])
        assert me["person"] in desk(typed[1])
        desk(typed[2])
        _until(lambda: browser.go(f"{server.url}/me").told["roles"] == ["staff"])
        desk(typed[3])
        exported = json.loads((tmp_path / "person.json").read_text(encoding="utf-8"))
        assert USER in str(exported)
        desk(f"{typed[4]} --yes")
        _until(lambda: browser.go(f"{server.url}/me").status == 401)
        server.stop()


def test_the_heart_of_the_nginx_settings_is_in_the_file() -> None:
    text = (ROOT / "deploy" / "nginx" / "protected.conf").read_text(encoding="utf-8")
    there = {line.partition("#")[0].strip() for line in text.splitlines()}
    shown = block("Sign users in", "nginx").splitlines()
    assert {line.partition("#")[0].strip() for line in shown} <= there
